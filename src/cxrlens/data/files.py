"""Lists the files below a data folder once, and finds those that a table names; nothing outside the folder is read."""

from __future__ import annotations

import os
import re
import tomllib
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path, PurePosixPath

from cxrlens.errors import UserError
from cxrlens.names import name_of, path_of
from cxrlens.text import first_few, many

PICTURES = frozenset(
    {
        *(".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif", ".jif", ".tif", ".tiff", ".bmp", ".webp", ".gif"),
        *(".jp2", ".j2k", ".j2c", ".jpc", ".jpf", ".jpx", ".jpeg2000"),
    }
)
"""Suffixes of the files that `data/raster.py` decodes."""

IMAGE_SUFFIXES = PICTURES | {".dcm", ".dicom", ".dic", ".ima"}
"""Suffixes of all image files, for every source and command: `PICTURES` and those that `data/dicom.py` decodes."""

NO_IMAGES = frozenset({"dicomdir", "readme", "license", "licence", "copying", "makefile", "sha256sums", "md5sums"})
"""Names of files that are not images although they have no suffix, as many DICOM images have none."""

LINK_ADVICE = "give --data the folder that the links lead to, or copy the files in their place (cp -rL)"
MASK_WORDS = frozenset({"mask", "masks", "segmentation", "segmentations", "seg", "annotation", "annotations"})
_MASK_FILE = re.compile(r"(?P<image>.+?)[ _.-]+(?:(?:lung|infection)[ _.-]*)?(?:masks?|segmentation|seg|label)", re.I)


def looks_like_image(name: str) -> bool:
    """Whether a file name can be that of an image: it has a known suffix, or none, as in DICOM archives.

    >>> [looks_like_image(name) for name in ("a.PNG", "IM000001", "1.2.840.7", "notes.txt", ".DS_Store", "DICOMDIR")]
    [True, True, True, False, False, False]
    """
    path = PurePosixPath(name.strip())
    if is_hidden(name) or path.name.lower() in NO_IMAGES:
        return False
    return path.suffix.lower() in IMAGE_SUFFIXES or not path.suffix or path.suffix[1:].isdigit()


def is_hidden(path: str) -> bool:
    """Whether a file or a folder above it is hidden or belongs to the metadata that macOS adds to archives.

    >>> [is_hidden(path) for path in ("a.png", "x/.git/a.png", "__MACOSX/a.png")]
    [False, True, True]
    """
    return any(part.startswith(".") or part == "__MACOSX" for part in path.split("/"))


def fold_name(name: str) -> str:
    """Normalises the name of a folder: case, outer spaces, and "_" or "-" for spaces do not matter.

    >>> fold_name("Non-COVID "), fold_name("Lung_Masks")
    ('non covid', 'lung masks')
    """
    return " ".join(unicodedata.normalize("NFC", name).casefold().replace("_", " ").replace("-", " ").split())


def mask_folder(above: Sequence[str], below: Sequence[str] = ()) -> str | None:
    """The folder whose name marks the files below it as masks, not X-rays; None where there is none.

    Args:
        above: folders from the data folder to the class folder. Only a name that ends in "mask" or "masks" counts,
            because folders such as "Lung Segmentation Data" hold images too.
        below: folders between the class folder and the file; names such as "segmentation" and "labels" count too.

    >>> mask_folder(["Lung Segmentation Data", "COVID"], ["images"]), mask_folder(["COVID"], ["lung masks"])
    (None, 'lung masks')
    """
    for folder in (*above, *below):
        if fold_name(folder).endswith(("mask", "masks")):
            return folder
    for folder in below:
        words = fold_name(folder).split()
        if MASK_WORDS.intersection(words) or words in (["label"], ["labels"], ["ground", "truth"]):
            return folder
    return None


def mask_files(paths: Iterable[str]) -> set[str]:
    """The files whose name marks them as the mask of an image beside them, such as `x_mask.png` beside `x.png`.

    >>> sorted(mask_files(["a/x.png", "a/x_mask.png", "a/y_mask.png", "a/z.jpg", "a/z-seg.png"]))
    ['a/x_mask.png', 'a/z-seg.png']
    """
    paths = list(paths)
    images = {str(PurePosixPath(path).with_suffix("")).casefold() for path in paths}

    def has_image(path: str) -> bool:
        file = PurePosixPath(path)
        match = _MASK_FILE.fullmatch(file.stem)
        return match is not None and str(file.with_name(match["image"])).casefold() in images

    return {path for path in paths if has_image(path)}


def ignored_files(unlisted: Sequence[str], others: Sequence[str]) -> list[str]:
    """Sentences on files that are ignored, for the terminal.

    Args:
        unlisted: image files that no row lists.
        others: files that are not images by their name.

    >>> ignored_files(["a.png"], ["n.txt", "b.txt", "x/.DS_Store"])
    ['ignored 1 image file that no row lists (a.png)', 'ignored 3 files that are not images (2 .txt, 1 hidden)']
    """
    sentences = []
    if unlisted:
        sentences.append(f"ignored {many(len(unlisted), 'image file')} that no row lists ({first_few(unlisted, 3)})")
    if others:
        kinds = Counter(_kind(path) for path in others).most_common()
        counts = first_few([f"{count} {kind}" for kind, count in kinds], 8)
        if len(others) == 1:
            sentences.append(f"ignored 1 file that is not an image ({kinds[0][0]})")
        else:
            sentences.append(f"ignored {len(others)} files that are not images ({counts})")
    return sentences


def _is_study(path: Path) -> bool:
    """Whether a file is a study file, which many users keep beside their images."""
    if path.suffix.lower() != ".toml":
        return False
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8-sig")).get("data")
    except (OSError, ValueError):
        return False
    return isinstance(data, dict) and "source" in data


def _kind(path: str) -> str:
    """The kind of a file by its name: "hidden", its suffix, or its name where it has none."""
    if is_hidden(path):
        return "hidden"
    return PurePosixPath(path).suffix.lower() or PurePosixPath(path).name


def find_data_dir(data_dir: Path | None, marks: Sequence[str], layout: str) -> Path:
    """Finds the folder with a layout: `data_dir` itself, or its only subfolder with it (the top folder of an archive).

    Args:
        data_dir: folder that the user gives; None where the user gives none.
        marks: glob patterns; each must match something in the folder.
        layout: description of the layout, for messages.

    Raises:
        UserError: no folder is given, it does not exist or is a file, or no subfolder or several have the layout.
    """
    if data_dir is None:
        raise UserError(f"this study needs a data folder with {layout}; give it with --data PATH")
    if data_dir.is_file():
        raise UserError(f"{data_dir} is a file; give a folder with {layout} (unpack an archive first)")
    if not data_dir.is_dir():
        raise UserError(f"there is no folder {data_dir}; give a folder with {layout}")

    def holds(folder: Path) -> bool:
        return all(any(folder.glob(mark)) for mark in marks)

    try:
        if holds(data_dir):
            return data_dir
        subfolders = [
            folder
            for folder in sorted(data_dir.iterdir())
            if folder.is_dir() and not folder.is_symlink() and holds(folder)
        ]
        content = sorted(entry.name for entry in data_dir.iterdir())
    except OSError as error:
        raise UserError(f"cannot read the folder {data_dir}: {error.strerror}") from error
    if len(subfolders) == 1:
        return subfolders[0]
    if subfolders:
        raise UserError(f"{data_dir} holds several data sets; give one of {', '.join(map(str, subfolders))}")
    raise UserError(f"{data_dir} does not hold {layout}; it holds: {first_few(content, 8) or 'nothing'}")


@dataclass(frozen=True)
class Files:
    """The files below some folders of a data folder.

    Attributes:
        data_dir: data folder.
        paths: sorted paths of all files, relative to `data_dir`, with "/" between parts; a name that is not UTF-8 is
            written as by `names.name_of`.
        refused: path → why it is not read: a link out of `data_dir` (never followed) or to nothing.
        within: path → name relative to the listed folder that holds the file.
        targets: path of a link → path of the file that it leads to, relative to `data_dir`.
        images: paths that are known to be images; None where only the names tell.
    """

    data_dir: Path
    paths: tuple[str, ...]
    refused: Mapping[str, str]
    within: Mapping[str, str] = field(repr=False)
    targets: Mapping[str, str] = field(repr=False)
    _exact: dict[str, list[str]] = field(repr=False)
    _loose: dict[str, list[str]] = field(repr=False)
    images: frozenset[str] | None = None

    def find(self, name: str) -> tuple[str | None, str]:
        """The path of the file that a table names, or None and the reason.

        An exact match comes first. Then differences in the case of the suffix, outer spaces, the unicode form and
        backslashes are ignored; then a missing suffix; then missing folders above the name, except mask folders. Only
        one file may match.

        Args:
            name: file name as the table writes it, relative to a listed folder.

        Returns:
            The path relative to `data_dir` and "", or None and the reason.
        """
        matches = self.matching(name)
        if len(matches) == 1:
            return (None, self.refused[matches[0]]) if matches[0] in self.refused else (matches[0], "")
        return None, f"{len(matches)} files fit: {first_few(matches, 3)}" if matches else "no such file"

    def matching(self, name: str) -> list[str]:
        """The paths of all files that match a name, by the rules of `find`."""
        return self._exact.get(name) or self._loose.get(loose_name(name)) or self._by_last_part(name)

    def only(self, paths: Iterable[str]) -> Files:
        """Some of the files, known to be images whatever their names; refused files stay.

        Args:
            paths: paths of the files, relative to `data_dir`.
        """
        images = frozenset(paths)
        remaining = images | self.refused.keys()

        def reduced(by_name: dict[str, list[str]]) -> dict[str, list[str]]:
            matches = {name: [path for path in paths if path in remaining] for name, paths in by_name.items()}
            return {name: paths for name, paths in matches.items() if paths}

        paths = tuple(path for path in self.paths if path in remaining)
        return replace(self, paths=paths, images=images, _exact=reduced(self._exact), _loose=reduced(self._loose))

    def is_nested(self, name: str, path: str) -> bool:
        """Whether the file at `path`, which `find` gives for `name`, lies in a folder that the name omits."""
        return loose_name(self.within[path]).rpartition("/")[0] != loose_name(name).rpartition("/")[0]

    def same_file(self, path: str) -> str:
        """An identifier of the file behind a path: equal for two paths of one file, one of them through a link.

        A link into a hidden folder, where some tools keep the contents of all files, counts as a file of its own.
        """
        target = self.targets.get(path, path)
        return path if is_hidden(target) else target

    def unlisted(self, paths: Iterable[str]) -> tuple[str, ...]:
        """The image files that are not among `paths`."""
        listed = set(paths)
        return tuple(path for path in self.paths if path not in listed and looks_like_image(path))

    def others(self, paths: Iterable[str] = ()) -> tuple[str, ...]:
        """The files that are neither images by their name nor study files, and not among `paths`."""
        listed = set(paths)
        return tuple(
            path
            for path in self.paths
            if path not in listed and not looks_like_image(path) and not _is_study(path_of(path, self.data_dir))
        )

    @cached_property
    def _by_last_name(self) -> dict[str, list[str]]:
        """File name, with and without its suffix → paths of images."""
        by_name: dict[str, list[str]] = {}
        for path in self.paths:
            is_image = looks_like_image(path) if self.images is None else path in self.images
            if is_image and path not in self.refused:
                last = loose_name(self.within[path]).rpartition("/")[2]
                for part in {last, without_suffix(last)}:
                    by_name.setdefault(part, []).append(path)
        return by_name

    def _by_last_part(self, name: str) -> list[str]:
        key = loose_name(name)
        candidates = self._by_last_name.get(key.rpartition("/")[2], [])
        names = {path: loose_name(self.within[path]) for path in candidates}
        if without_suffix(key) == key:  # an identifier: only the file has a suffix
            names = {path: without_suffix(within) for path, within in names.items()}
        direct = [path for path, within in names.items() if within == key]
        nested = [
            path
            for path, within in names.items()
            if within.endswith(f"/{key}") and mask_folder((), PurePosixPath(path).parts[:-1]) is None
        ]
        return direct or nested


def hub_store(real_root: Path) -> Path | None:
    """The store of a hub cache, `NAME/blobs`, for a folder in `NAME/snapshots/REVISION`; None for other folders.

    The hub's client puts only links into a snapshot, so links into its own store are allowed.
    """
    for place in (real_root, *real_root.parents):
        if place.parent.name == "snapshots" and (place.parent.parent / "blobs").is_dir():
            return Path(os.path.realpath(place.parent.parent / "blobs"))
    return None


def list_files(data_dir: Path, folders: Sequence[str] = (".",), links_out: bool = False) -> Files:
    """Lists the files below some folders; names are relative to the folder that holds them.

    Links out of `data_dir` are refused. If `data_dir` is a snapshot in a hub cache, links into its store are followed.

    Args:
        data_dir: data folder.
        folders: folders to list, relative to `data_dir`.
        links_out: whether links out of `data_dir` are followed.

    Raises:
        UserError: a folder is absent, is a link out of `data_dir`, or cannot be read.
    """
    real_root = Path(os.path.realpath(data_dir))
    store = hub_store(real_root)
    exact: dict[str, list[str]] = {}
    loose: dict[str, list[str]] = {}
    refused: dict[str, str] = {}
    within: dict[str, str] = {}
    targets: dict[str, str] = {}
    for folder in folders:
        start = data_dir / folder
        if not start.is_dir():
            raise UserError(f"there is no folder {start}")
        if not Path(os.path.realpath(start)).is_relative_to(real_root):
            raise UserError(
                f"{start} is a link out of {data_dir}: refused; give --data the folder that holds the files themselves"
            )
        prefix = "" if folder in (".", "") else f"{folder.rstrip('/')}/"
        for name, problem, target in _walk(start, real_root, (), links_out, store):
            path = prefix + name
            if path in within:
                continue
            within[path] = name
            exact.setdefault(name, []).append(path)
            loose.setdefault(loose_name(name), []).append(path)
            if problem:
                refused[path] = problem
            if target is not None:
                targets[path] = target
    return Files(data_dir, tuple(sorted(within)), refused, within, targets, exact, loose)


def _walk(
    folder: Path,
    real_root: Path,
    above: tuple[Path, ...],
    links_out: bool,
    store: Path | None,
    prefix: str = "",
    linked: bool = False,
) -> Iterator[tuple[str, str, str | None]]:
    """Yields the name of each file relative to the start, why it is refused, and the target of a link (else None).

    A link to a folder above itself is not followed.
    """
    current = Path(os.path.realpath(folder))
    try:
        with os.scandir(folder) as scanned:
            entries = sorted(scanned, key=lambda entry: entry.name)
    except OSError as error:
        raise UserError(f"cannot read the folder {folder}: {error.strerror}") from error
    for entry in entries:
        name = prefix + name_of(entry.name)
        if entry.is_symlink():
            target = Path(os.path.realpath(entry.path))
            inside = target.is_relative_to(real_root)
            if not inside and not links_out and not (store and target.is_relative_to(store)):
                description = "a link to a folder out of" if target.is_dir() else "a link out of"
                yield name, f"{description} the data folder: refused; {LINK_ADVICE}", None
            elif target.is_file():
                yield name, "", name_of(target.relative_to(real_root).as_posix()) if inside else None
            elif not target.is_dir():
                yield name, "a link to a file that is not there", None
            elif not any(place.is_relative_to(target) for place in (*above, current)):
                yield from _walk(Path(entry.path), real_root, (*above, current), links_out, store, f"{name}/", True)
        elif entry.is_dir():
            yield from _walk(Path(entry.path), real_root, (*above, current), links_out, store, f"{name}/", linked)
        elif entry.is_file():
            behind_link = linked and current.is_relative_to(real_root)
            yield name, "", name_of((current / entry.name).relative_to(real_root).as_posix()) if behind_link else None


def relative_name(cell: str, data_dir: Path) -> str | None:
    """A cell of a table as a name below `data_dir`; None where it leads out of it, with links resolved.

    >>> relative_name("images/a.png", Path("/data")), relative_name("../a.png", Path("/data"))
    ('images/a.png', None)
    """
    if "/" not in cell and "\\" not in cell and ":" not in cell:  # nearly every cell of every table
        return None if cell in ("", ".", "..") else cell
    path = PurePosixPath(cell) if cell.startswith("/") or "\\" not in cell else PurePosixPath(cell.replace("\\", "/"))
    if len(cell) > 1 and cell[1] == ":":  # a drive
        return None
    if path.is_absolute() or ".." in path.parts:
        try:
            real = Path(os.path.realpath(data_dir / path)), Path(os.path.realpath(data_dir))
        except (OSError, ValueError):  # a null byte in the name
            return None
        written = Path(path), Path(os.path.normpath(data_dir.absolute()))
        pairs = (real,) if ".." in path.parts else (written, real)
        below = [place.relative_to(base) for place, base in pairs if place.is_relative_to(base)]
        if not below:
            return None
        path = PurePosixPath(below[0].as_posix())
    return str(path) if path.parts else None


def below(data_dir: Path, option: str) -> str:
    """The path that an option of a study names, relative to the data folder.

    Args:
        data_dir: data folder.
        option: value of the option.

    Raises:
        UserError: the path leads out of the data folder.
    """
    name = relative_name(option, data_dir)
    if name is None:
        raise UserError(f"'{option}' leads out of {data_dir} and is refused; give a path below it")
    return name


def loose_name(name: str) -> str:
    """Normalises a file name: outer spaces, backslashes, case of the suffix and unicode form do not matter."""
    text = name if name.isascii() else unicodedata.normalize("NFC", name)
    *folders, last = (part.strip() for part in text.replace("\\", "/").split("/"))
    stem, dot, suffix = last.rpartition(".")
    return "/".join([*folders, stem + dot + (suffix.lower() if stem else suffix)])


def without_suffix(name: str) -> str:
    """A name without the suffix of an image; the last number of a UID is not a suffix.

    >>> without_suffix("a/1.2.840.png"), without_suffix("a/1.2.840")
    ('a/1.2.840', 'a/1.2.840')
    """
    stem, _, suffix = name.rpartition(".")
    return stem if stem and f".{suffix.lower()}" in IMAGE_SUFFIXES else name
