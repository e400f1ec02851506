"""Output to a terminal or a pipe: names are printed literally, and a sign that the encoding lacks ends no command.

A terminal or a pipe need not be UTF-8: Windows redirects as cp1252, and a container may have no locale at all. Signs of
our own sentences have an ASCII replacement. Any other sign becomes a question mark. JSON escapes it.
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

# One sign replaces one sign, so that columns stay aligned.
PLAIN = str.maketrans("–—−→←•×±…‘’“”│─━┃╇╴╸═║▲○", "---><*x~.''\"\"|--|+--=|^o")
REPLACE = "cxrlens.replace"


def take_any_text() -> None:
    """Makes standard output and error replace signs that they cannot encode."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # the streams of notebooks and tests take all text
            stream.reconfigure(errors=REPLACE)


def say(console: Console, line: str, style: str = "") -> None:
    """Prints a sentence literally, without markup. In a pipe it stays on one line, so that names in it stay whole."""
    console.print(literal(line, style), highlight=False, soft_wrap=not console.is_terminal)


def literal(text: str, style: str = "") -> Text:
    """Text of a line or a cell without markup: brackets stay brackets, and control characters appear as escapes."""
    from rich.text import Text

    return Text(_visible(text), style)


def echo(line: str, err: bool = False) -> None:
    """Prints a line on standard output or standard error, without colour or wrapping."""
    (sys.stderr if err else sys.stdout).write(_visible(line) + "\n")


def print_json(value: Any, indent: int | None = 1) -> None:
    """Prints JSON that is valid on any terminal: characters that its encoding lacks are escaped."""
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
