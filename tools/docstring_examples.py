"""An extension of griffe, for the site: examples after `>>>` are shown as code wherever a docstring has them."""

from __future__ import annotations

import re
from typing import Any

from griffe import Extension, Object

EXAMPLE = re.compile(r"(?:^|(?<=\n))(?P<space> *)>>> .*(?:\n(?P=space)\S.*)*")


class Examples(Extension):
    """Puts a fence around each example."""

    def on_instance(self, *, obj: Object, **_: Any) -> None:
        """Changes the docstring of one function, class or module."""
        if obj.docstring is not None and ">>> " in obj.docstring.value:
            obj.docstring.value = EXAMPLE.sub(fenced, obj.docstring.value)


def fenced(match: re.Match[str]) -> str:
    """An example as Markdown's code."""
    space = match["space"]
    return f"{space}```pycon\n{match[0]}\n{space}```"
