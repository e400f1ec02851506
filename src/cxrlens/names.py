"""Names of files, images and models as text that a terminal, a table or a figure can show, and back to the file.

A file system keeps names as bytes, which need not be UTF-8: an old archive's `röntgen.png` may be Latin-1. Python
holds such bytes as lone surrogates, which no text file can hold. Here they are written as in a URL: `r%F6ntgen.png`. A
name with such bytes has its own `%` written as `%25`, so that the text leads back to the file.
"""

from __future__ import annotations

import codecs
import hashlib
import os
import re
from pathlib import Path
from urllib.parse import unquote_to_bytes

# Lone surrogates; control characters with line separators and marks of the writing direction.
_SURROGATES = re.compile("[\ud800-\udfff]")
_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def name_of(path: str | os.PathLike[str]) -> str:
    r"""A path as text that UTF-8 can hold; only names with bytes that are not UTF-8 are changed.

    >>> name_of("röntgen.png"), name_of("r\udcf6ntgen 100%.png")
    ('röntgen.png', 'r%F6ntgen 100%25.png')
    """
    text = os.fspath(path)
    if not _SURROGATES.search(text):
        return text
    text = os.fsencode(text).decode("utf-8", "surrogateescape")  # in an ASCII locale, UTF-8 comes as surrogates too
    return _percent(text.replace("%", "%25")) if _SURROGATES.search(text) else text


def path_of(name: str | os.PathLike[str], root: Path | None = None) -> Path:
    """The path whose name `name_of` gave; a file with exactly this name goes first.

    Args:
        name: name as `name_of` writes it, relative to `root`.
        root: folder that the name is relative to, as the file system has it; the current folder without it.
    """
    text, folder = os.fspath(name), root or Path()
    path = folder / text
    if (text.isascii() and "%" not in text) or os.path.lexists(path):
        return path
    for other in (on_disk(text), os.fsdecode(unquote_to_bytes(_raw(text)))):
        if os.path.lexists(folder / other):
            return folder / other
    return path


def on_disk(name: str) -> str:
    """A name as the file system has it: in UTF-8, even where the locale is ASCII."""
    return name if name.isascii() else os.fsdecode(_raw(name))


def visible(text: str) -> str:
    r"""Text with control characters and marks of the writing direction replaced by their escapes.

    >>> visible("a\nb\x1b[31m"), visible("[a] $b$")
    ('a\\nb\\x1b[31m', '[a] $b$')
    """
    return _CONTROLS.sub(lambda match: match[0].encode("unicode_escape").decode("ascii"), _percent(text))


def shortened(text: str, most: int) -> str:
    """Text of at most `most` characters: a longer one is cut in the middle, since names differ at their ends.

    >>> shortened("a rather long name of a model", 15), shortened("short", 15)
    ('a rathe…a model', 'short')
    """
    return text if len(text) <= most else text[: most // 2] + "…" + text[len(text) - (most - most // 2 - 1) :]


def short_name(text: str, most: int = 100) -> str:
    """File name of at most `most` bytes; a longer one is cut and ends in a hash of the whole name.

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
    return _SURROGATES.sub(lambda match: _percent_bytes(match[0]), text)


def _percent_bytes(char: str) -> str:
    raw = bytes([ord(char) - 0xDC00]) if "\udc80" <= char <= "\udcff" else char.encode("utf-8", "surrogatepass")
    return "".join(f"%{byte:02X}" for byte in raw)


def _surrogates_as_percent(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return _percent(error.object[error.start : error.end]), error.end


# Error handler for writing a text file: `errors=PERCENT`.
PERCENT = "cxrlens.percent"
codecs.register_error(PERCENT, _surrogates_as_percent)
