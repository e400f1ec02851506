"""Errors that the user can correct. The command line prints them without a traceback."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable
from pathlib import Path


class UserError(Exception):
    """An error that the user can correct; the message says what was needed, what came and what to do."""


def reason(error: Exception) -> str:
    """One line for an exception: the message of a `UserError`, and class and message of any other.

    >>> reason(UserError("no layer 'x'")), reason(ValueError("of no use"))
    ("no layer 'x'", 'ValueError: of no use')
    """
    text = " ".join(str(error).split())[:400]
    return text if isinstance(error, UserError) and text else f"{type(error).__name__}: {text}".rstrip(": ")


def near_miss(kind: str, name: object, known: Iterable[str], most: int = 40) -> str:
    """Message for an unknown name, with the nearest known name.

    Args:
        kind: kind of thing that the name is of, such as "method".
        name: the unknown name.
        known: the known names.
        most: largest number of known names that the message lists; of more, it lists the nearest ones.

    >>> near_miss("method", "gradcma", ["saliency", "grad_cam"])
    "unknown method 'gradcma'; did you mean 'grad_cam'? Known: grad_cam, saliency"
    """
    names = sorted(known)
    close = difflib.get_close_matches(str(name), names, n=most, cutoff=0.5)
    hint = f"; did you mean '{close[0]}'?" if close else "."
    if len(names) > most:
        return f"unknown {kind} '{name}'{hint} {len(names)} are known" + (
            f", near: {', '.join(close)}" if close else ""
        )
    return f"unknown {kind} '{name}'{hint} Known: {', '.join(names) or 'none'}"


def nearest_file(path: str | os.PathLike[str]) -> str:
    """Question that names the file or folder with the most similar name, for the end of an error message; else "".

    Args:
        path: path of the absent file. If a folder above it is absent too, the question names the folder most like it.
    """
    absent = Path(path)
    while not absent.parent.exists() and absent.parent != absent:
        absent = absent.parent
    try:
        names = sorted(entry.name for entry in absent.parent.iterdir())
    except OSError:  # the folder may not be read
        return ""
    close = difflib.get_close_matches(absent.name, names, n=1)
    return f"; did you mean {absent.parent / close[0]}?" if close else ""
