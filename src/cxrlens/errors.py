"""Errors that are the user's to mend: the command line prints them without a traceback."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable
from pathlib import Path


class UserError(Exception):
    """What was needed, what came, and what to do, in one message."""


def reason(error: Exception) -> str:
    """An exception as one line: the user's errors speak for themselves, any other is named.

    >>> reason(UserError("no layer 'x'")), reason(ValueError("of no use"))
    ("no layer 'x'", 'ValueError: of no use')
    """
    text = " ".join(str(error).split())[:400]
    return text if isinstance(error, UserError) and text else f"{type(error).__name__}: {text}".rstrip(": ")


def near_miss(kind: str, name: object, known: Iterable[str], most: int = 40) -> str:
    """One sentence for a name that is not known, with the nearest one that is; of more than `most`, the nearest few.

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
    """A question that names the file or folder most like one that is not there, to be put behind an error; else "".

    Args:
        path: of the absent file; where a folder above it is absent too, the nearest name to that folder is given.
    """
    absent = Path(path)
    while not absent.parent.exists() and absent.parent != absent:
        absent = absent.parent
    try:
        names = sorted(each.name for each in absent.parent.iterdir())
    except OSError:  # may not be looked into
        return ""
    close = difflib.get_close_matches(absent.name, names, n=1)
    return f"; did you mean {absent.parent / close[0]}?" if close else ""
