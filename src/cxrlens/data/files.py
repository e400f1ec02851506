"""The image files below a data folder: listed once, found by the name a table gives them, never outside the folder."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from cxrlens.errors import UserError
from cxrlens.names import name_of

IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".dcm", ".dicom", ".tif", ".tiff", ".bmp", ".webp"})


def looks_like_image(name: str) -> bool:
    """Whether a file's name could be an image's: a known suffix, or none at all, as DICOM archives write.

    >>> [looks_like_image(name) for name in ("a.PNG", "IM000001", "1.2.840.7", "notes.txt", ".DS_Store")]
    [True, True, True, False, False]
    """
    path = PurePosixPath(name.strip())
    if path.name.startswith("."):
        return False
    return path.suffix.lower() in IMAGE_SUFFIXES or not path.suffix or path.suffix[1:].isdigit()


def data_root(root: Path | None, marks: Sequence[str], layout: str) -> Path:
    """The folder that holds a layout: `root` itself, or its only subfolder that does (an archive's top folder).

    Args:
        root: what the user gave.
        marks: glob patterns of which each must match something in the folder.
        layout: what was looked for, in words.

    Raises:
        UserError: nothing was given, it does not exist, is a file, or holds the layout nowhere or in several places.
    """
    if root is None:
        raise UserError(f"this study needs a data folder with {layout}; give it with --data PATH")
    if root.is_file():
        raise UserError(f"{root} is a file; needed: a folder with {layout} (unpack an archive first)")
    if not root.is_dir():
        raise UserError(f"no folder {root}; needed: a folder with {layout}")

    def holds(folder: Path) -> bool:
        return all(any(folder.glob(mark)) for mark in marks)

    try:
        if holds(root):
            return root
        inside = [
            folder for folder in sorted(root.iterdir()) if folder.is_dir() and not folder.is_symlink() and holds(folder)
        ]
        found = sorted(entry.name for entry in root.iterdir())
    except OSError as error:
        raise UserError(f"cannot look into {root}: {error.strerror}") from error
    if len(inside) == 1:
        return inside[0]
    if inside:
        raise UserError(f"{root} holds several data sets; give one of {', '.join(map(str, inside))}")
    shown = ", ".join(found[:8]) + (", ..." if len(found) > 8 else "") or "nothing"
    raise UserError(f"{root} does not hold {layout}; found: {shown}")


@dataclass(frozen=True)
class Files:
    """The files below some folders of a root.

    Attributes:
        root: the data folder.
        paths: every file, relative to `root`, with "/" between parts, sorted; a name that is no UTF-8 stands as
            `names.name_of` writes it.
        outside: links that lead out of `root`, which are never followed.
    """

    root: Path
    paths: tuple[str, ...]
    outside: tuple[str, ...]
    _exact: dict[str, list[str]] = field(repr=False)
    _loose: dict[str, list[str]] = field(repr=False)

    def find(self, name: str) -> tuple[str | None, str]:
        """The path of the file that a table calls `name`, or None and the reason.

        The exact name comes first; then the case of the suffix, spaces around the name, the unicode form and
        backslashes between folders are forgiven, as long as only one file fits.
        """
        hits = self._exact.get(name) or self._loose.get(_loosely(name), [])
        if len(hits) == 1:
            return (None, "a link out of the data folder: refused") if hits[0] in self.outside else (hits[0], "")
        return None, f"{len(hits)} files fit: {', '.join(hits[:3])}" if hits else "no such file"

    def unlisted(self, found: Iterable[str]) -> tuple[str, ...]:
        """The image files that are not among `found`."""
        named = set(found)
        return tuple(path for path in self.paths if path not in named and looks_like_image(path))


def list_files(root: Path, folders: Sequence[str] = (".",)) -> Files:
    """Walks `folders` (relative to `root`) once; names are found relative to the folder that holds them.

    Raises:
        UserError: a folder is absent, a link out of the root, or may not be looked into.
    """
    real_root = Path(os.path.realpath(root))
    exact: dict[str, list[str]] = {}
    loose: dict[str, list[str]] = {}
    outside: list[str] = []
    for folder in folders:
        start = root / folder
        if not start.is_dir():
            raise UserError(f"no folder {start}")
        if not Path(os.path.realpath(start)).is_relative_to(real_root):
            raise UserError(
                f"{start} is a link out of {root}: refused; give --data the folder that holds the files themselves"
            )
        prefix = "" if folder in (".", "") else f"{folder.rstrip('/')}/"
        for name, inside in _walk(start, real_root, ()):
            exact.setdefault(name, []).append(prefix + name)
            loose.setdefault(_loosely(name), []).append(prefix + name)
            if not inside:
                outside.append(prefix + name)
    paths = sorted(path for hits in exact.values() for path in hits)
    return Files(root, tuple(paths), tuple(sorted(outside)), exact, loose)


def _walk(folder: Path, real_root: Path, above: tuple[Path, ...], prefix: str = "") -> Iterator[tuple[str, bool]]:
    """Every file's name relative to where the walk began, and whether it lies inside the root; links in circles end."""
    here = Path(os.path.realpath(folder))
    try:
        with os.scandir(folder) as entries:
            found = sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        raise UserError(f"cannot look into {folder}: {error.strerror}") from error
    for entry in found:
        name = prefix + name_of(entry.name)
        if entry.is_symlink():
            target = Path(os.path.realpath(entry.path))
            if not target.is_relative_to(real_root):
                yield name, False
            elif target.is_file():
                yield name, True
            elif target.is_dir() and not any(place.is_relative_to(target) for place in (*above, here)):
                yield from _walk(Path(entry.path), real_root, (*above, here), f"{name}/")
        elif entry.is_dir():
            yield from _walk(Path(entry.path), real_root, (*above, here), f"{name}/")
        elif entry.is_file():
            yield name, True


def relative_name(cell: str, root: Path) -> str | None:
    """A table's cell as a name below `root`; None where it leads out of it.

    >>> relative_name("images/a.png", Path("/data")), relative_name("../a.png", Path("/data"))
    ('images/a.png', None)
    """
    if "/" not in cell and "\\" not in cell and ":" not in cell:  # nearly every cell of every table
        return None if cell in ("", ".", "..") else cell
    path = PurePosixPath(cell) if cell.startswith("/") or "\\" not in cell else PurePosixPath(cell.replace("\\", "/"))
    if path.is_absolute():
        if not path.is_relative_to(root.absolute().as_posix()):
            return None
        path = path.relative_to(root.absolute().as_posix())
    drive = len(cell) > 1 and cell[1] == ":"
    return None if ".." in path.parts or drive or not path.parts else str(path)


def _loosely(name: str) -> str:
    text = name if name.isascii() else unicodedata.normalize("NFC", name)
    *folders, last = (part.strip() for part in text.replace("\\", "/").split("/"))
    stem, dot, suffix = last.rpartition(".")
    return "/".join([*folders, stem + dot + (suffix.lower() if stem else suffix)])
