"""Names of files, images and models as text: what a terminal, a table or a figure can hold, and back to the file.

A file system keeps names as bytes, which need not be UTF-8: an old archive's `röntgen.png` may be Latin-1. Python
carries such bytes as lone surrogates, which no text file can hold. Here they are written as a URL writes them:
`r%F6ntgen.png`; and a name that has such bytes writes its own `%` as `%25`, so that the file is found again.
"""

from __future__ import annotations

import codecs
import hashlib
import os
import re
from pathlib import Path
from urllib.parse import unquote_to_bytes

# Lone surrogates; control characters, line separators among them; signs that turn the direction of what follows.
_SURROGATES = re.compile("[\ud800-\udfff]")
_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def name_of(path: str | os.PathLike[str]) -> str:
    r"""A path as text that UTF-8 can hold; most are as they are.

    >>> name_of("röntgen.png"), name_of("r\udcf6ntgen 100%.png")
    ('röntgen.png', 'r%F6ntgen 100%25.png')
    """
    text = os.fspath(path)
    if not _SURROGATES.search(text):
        return text
    text = os.fsencode(text).decode("utf-8", "surrogateescape")  # in an ASCII locale UTF-8 came as bytes, too
    return _percent(text.replace("%", "%25")) if _SURROGATES.search(text) else text


def path_of(name: str | os.PathLike[str], root: Path | None = None) -> Path:
    """The path that `name_of` gave a name to; a file that has the very name comes first.

    Args:
        name: relative to `root`, or any path.
        root: the folder that the name starts from; its own name is taken as it is.
    """
    text, above = os.fspath(name), root or Path()
    path = above / text
    if (text.isascii() and "%" not in text) or os.path.lexists(path):
        return path
    for other in (on_disk(text), os.fsdecode(unquote_to_bytes(_raw(text)))):
        if os.path.lexists(above / other):
            return above / other
    return path


def on_disk(name: str) -> str:
    """A name as this machine's files have it: as UTF-8, where the locale is ASCII too."""
    return name if name.isascii() else os.fsdecode(_raw(name))


def visible(text: str) -> str:
    r"""Text that moves no cursor, rings no bell and turns no line around: control characters as their escapes.

    >>> visible("a\nb\x1b[31m"), visible("[a] $b$")
    ('a\\nb\\x1b[31m', '[a] $b$')
    """
    return _CONTROLS.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), _percent(text))


def shortened(text: str, most: int) -> str:
    """Text of at most so many characters: the beginning and the end, where names differ.

    >>> shortened("a rather long name of a model", 15), shortened("short", 15)
    ('a rathe…a model', 'short')
    """
    return text if len(text) <= most else text[: most // 2] + "…" + text[len(text) - (most - most // 2 - 1) :]


def short_name(text: str, most: int = 100) -> str:
    """A file's name of at most so many bytes, which every file system takes; a longer one ends in a hash of it all.

    >>> short_name("a.png"), short_name("x" * 300, 20)
    ('a.png', 'xxxxxxxxxxx-0d4e2ca9')
    """
    raw = text.encode("utf-8", "replace")
    if len(raw) <= most:
        return text
    return f"{raw[: most - 9].decode('utf-8', 'ignore').rstrip('-. ')}-{hashlib.sha256(raw).hexdigest()[:8]}"


def _raw(name: str) -> bytes:
    return name.encode("utf-8", "surrogateescape" if os.name == "posix" else "surrogatepass")


def _percent(text: str) -> str:
    return _SURROGATES.sub(lambda found: _bytes(found[0]), text)


def _bytes(sign: str) -> str:
    raw = bytes([ord(sign) - 0xDC00]) if "\udc80" <= sign <= "\udcff" else sign.encode("utf-8", "surrogatepass")
    return "".join(f"%{byte:02X}" for byte in raw)


def _surrogates_as_percent(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return _percent(error.object[error.start : error.end]), error.end


# For whoever writes a text file: `errors=PERCENT`.
PERCENT = "cxrlens.percent"
codecs.register_error(PERCENT, _surrogates_as_percent)
