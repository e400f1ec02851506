"""What a terminal is given: every name as it is, and no sign that ends a command since the encoding lacks it.

A terminal or a pipe need not be UTF-8: Windows redirects as cp1252, a container may have no locale at all. Signs of our
own sentences have a plain one that stands for them, any other becomes a question mark; JSON escapes what is missing.
"""

from __future__ import annotations

import codecs
import json
import sys
from typing import TYPE_CHECKING, Any

from cxrlens.names import visible

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

# One sign for one, so that columns stay columns.
PLAIN = str.maketrans("–—−→←•×±…‘’“”│─━┃╇╴╸═║▲○", "---><*x~.''\"\"|--|+--=|^o")
REPLACE = "cxrlens.replace"


def take_any_text() -> None:
    """Lets standard output and error replace what they cannot encode."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a notebook's or a test's own stream takes all text
            stream.reconfigure(errors=REPLACE)


def say(console: Console, line: str, style: str = "") -> None:
    """One sentence as it is, no sign of it markup; in a pipe on one line, so that names in it stay whole."""
    console.print(literal(line, style), highlight=False, soft_wrap=not console.is_terminal)


def literal(text: str, style: str = "") -> Text:
    """Text for a line or a cell: brackets are brackets, and what would move the cursor is shown as its escape."""
    from rich.text import Text

    return Text(_visible(text), style)


def echo(line: str, err: bool = False) -> None:
    """One line on standard output, or on standard error, without colour or folding."""
    (sys.stderr if err else sys.stdout).write(_visible(line) + "\n")


def print_json(value: Any, indent: int | None = 1) -> None:
    """Prints JSON that is whole on any terminal: what its encoding lacks is escaped, as JSON can."""
    utf8 = codecs.lookup(getattr(sys.stdout, "encoding", None) or "ascii").name == "utf-8"
    sys.stdout.write(json.dumps(value, indent=indent, ensure_ascii=not utf8, allow_nan=False) + "\n")


def _visible(text: str) -> str:
    return "\n".join(map(visible, text.split("\n")))


def _replaced(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    signs = error.object[error.start : error.end].translate(PLAIN)
    return "".join(sign if sign.isascii() else "?" for sign in signs), error.end


codecs.register_error(REPLACE, _replaced)
