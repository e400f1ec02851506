"""The image files below a data folder: listed once, found by the name a table gives them, never outside the folder."""

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
"""How the files are called that `data/raster.py` decodes."""

IMAGE_SUFFIXES = PICTURES | {".dcm", ".dicom", ".dic", ".ima"}
"""These and those that `data/dicom.py` decodes; every source and command goes by it."""

NO_IMAGES = frozenset({"dicomdir", "readme", "license", "licence", "copying", "makefile", "sha256sums", "md5sums"})
"""Files that have no suffix, as DICOM images often have none, and are something else."""

LINK_ADVICE = "give --data the folder that the links lead to, or copy the files in their place (cp -rL)"
MASK_WORDS = frozenset({"mask", "masks", "segmentation", "segmentations", "seg", "annotation", "annotations"})
_MASK_FILE = re.compile(r"(?P<image>.+?)[ _.-]+(?:(?:lung|infection)[ _.-]*)?(?:masks?|segmentation|seg|label)", re.I)


def looks_like_image(name: str) -> bool:
    """Whether a file's name could be an image's: a known suffix, or none at all, as DICOM archives write.

    >>> [looks_like_image(name) for name in ("a.PNG", "IM000001", "1.2.840.7", "notes.txt", ".DS_Store", "DICOMDIR")]
    [True, True, True, False, False, False]
    """
    path = PurePosixPath(name.strip())
    if is_hidden(name) or path.name.lower() in NO_IMAGES:
        return False
    return path.suffix.lower() in IMAGE_SUFFIXES or not path.suffix or path.suffix[1:].isdigit()


def is_hidden(path: str) -> bool:
    """Whether a file or a folder above it is hidden, or is what macOS adds to archives.

    >>> [is_hidden(path) for path in ("a.png", "x/.git/a.png", "__MACOSX/a.png")]
    [False, True, True]
    """
    return any(part.startswith(".") or part == "__MACOSX" for part in path.split("/"))


def fold_name(name: str) -> str:
    """A folder's name without what people write differently: case, outer spaces, "_" and "-" for spaces.

    >>> fold_name("Non-COVID "), fold_name("Lung_Masks")
    ('non covid', 'lung masks')
    """
    return " ".join(unicodedata.normalize("NFC", name).casefold().replace("_", " ").replace("-", " ").split())


def mask_folder(above: Sequence[str], below: Sequence[str] = ()) -> str | None:
    """The folder that says that the files below it are masks, not X-rays; None where none does.

    Args:
        above: folders from the root to the class. Only a name that ends in "mask" or "masks" counts, for sets are
            called "Lung Segmentation Data" that hold images too.
        below: folders between the class and the file, where "segmentation", "labels" and the like count as well.

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
    """Files that are called as the mask of an image beside them, such as `x_mask.png` beside `x.png`.

    >>> sorted(mask_files(["a/x.png", "a/x_mask.png", "a/y_mask.png", "a/z.jpg", "a/z-seg.png"]))
    ['a/x_mask.png', 'a/z-seg.png']
    """
    listed = list(paths)
    images = {str(PurePosixPath(path).with_suffix("")).casefold() for path in listed}

    def has_image(path: str) -> bool:
        place = PurePosixPath(path)
        match = _MASK_FILE.fullmatch(place.stem)
        return match is not None and str(place.with_name(match["image"])).casefold() in images

    return {path for path in listed if has_image(path)}


def passed_over(unlisted: Sequence[str], others: Sequence[str]) -> list[str]:
    """Sentences on the files that are not used, for the terminal.

    Args:
        unlisted: image files.
        others: files that are no images by their name.

    >>> passed_over(["a.png"], ["n.txt", "b.txt", "x/.DS_Store"])
    ['ignored 1 image file that no row lists (a.png)', 'ignored 3 files that are not images (2 .txt, 1 hidden)']
    """
    lines = []
    if unlisted:
        lines.append(f"ignored {many(len(unlisted), 'image file')} that no row lists ({first_few(unlisted, 3)})")
    if others:
        kinds = Counter(_kind(path) for path in others).most_common()
        some = first_few([f"{count} {kind}" for kind, count in kinds], 8)
        if len(others) == 1:
            lines.append(f"ignored 1 file that is not an image ({kinds[0][0]})")
        else:
            lines.append(f"ignored {len(others)} files that are not images ({some})")
    return lines


def _is_study(path: Path) -> bool:
    """Whether a file is a study of this program, which many keep beside their images."""
    if path.suffix.lower() != ".toml":
        return False
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8-sig")).get("data")
    except (OSError, ValueError):
        return False
    return isinstance(data, dict) and "source" in data


def _kind(path: str) -> str:
    if is_hidden(path):
        return "hidden"
    return PurePosixPath(path).suffix.lower() or PurePosixPath(path).name


def find_data_dir(data_dir: Path | None, marks: Sequence[str], layout: str) -> Path:
    """The folder that holds a layout: `data_dir` itself, or its only subfolder that does (an archive's top folder).

    Args:
        data_dir: what the user gave.
        marks: glob patterns of which each must match something in the folder.
        layout: what was looked for, in words.

    Raises:
        UserError: nothing was given, it does not exist, is a file, or holds the layout nowhere or in several places.
    """
    if data_dir is None:
        raise UserError(f"this study needs a data folder with {layout}; give it with --data PATH")
    if data_dir.is_file():
        raise UserError(f"{data_dir} is a file; needed: a folder with {layout} (unpack an archive first)")
    if not data_dir.is_dir():
        raise UserError(f"no folder {data_dir}; needed: a folder with {layout}")

    def holds(folder: Path) -> bool:
        return all(any(folder.glob(mark)) for mark in marks)

    try:
        if holds(data_dir):
            return data_dir
        inside = [
            folder
            for folder in sorted(data_dir.iterdir())
            if folder.is_dir() and not folder.is_symlink() and holds(folder)
        ]
        found = sorted(entry.name for entry in data_dir.iterdir())
    except OSError as error:
        raise UserError(f"cannot look into {data_dir}: {error.strerror}") from error
    if len(inside) == 1:
        return inside[0]
    if inside:
        raise UserError(f"{data_dir} holds several data sets; give one of {', '.join(map(str, inside))}")
    raise UserError(f"{data_dir} does not hold {layout}; found: {first_few(found, 8) or 'nothing'}")


@dataclass(frozen=True)
class Files:
    """The files below some folders of a root.

    Attributes:
        data_dir: the data folder.
        paths: every file, relative to `data_dir`, with "/" between parts, sorted; a name that is no UTF-8 stands as
            `names.name_of` writes it.
        refused: path → why it cannot be read: a link that leads out of `data_dir` (never followed) or to nothing.
        within: path → the name relative to the folder that was listed.
        targets: path of a file behind a link → the file's own path, relative to `data_dir`.
        images: the paths that are images, where that is known; else their names say so.
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
        """The path of the file that a table calls `name`, or None and the reason.

        The exact name comes first; then the case of the suffix, spaces around the name, the unicode form and
        backslashes between folders are forgiven; then a suffix that the table leaves out; then the folders above the
        name, mask folders apart. Each as long as only one file fits.
        """
        hits = self.fitting(name)
        if len(hits) == 1:
            return (None, self.refused[hits[0]]) if hits[0] in self.refused else (hits[0], "")
        return None, f"{len(hits)} files fit: {first_few(hits, 3)}" if hits else "no such file"

    def fitting(self, name: str) -> list[str]:
        """The paths of all files that a table may call `name`, as `find` takes it."""
        return self._exact.get(name) or self._loose.get(loose_name(name)) or self._by_last_part(name)

    def only(self, paths: Iterable[str]) -> Files:
        """Some of the files, each known to be an image whatever its name; those that are refused stay."""
        images = frozenset(paths)
        kept = images | self.refused.keys()

        def fewer(called: dict[str, list[str]]) -> dict[str, list[str]]:
            some = {name: [path for path in found if path in kept] for name, found in called.items()}
            return {name: found for name, found in some.items() if found}

        listed = tuple(path for path in self.paths if path in kept)
        return replace(self, paths=listed, images=images, _exact=fewer(self._exact), _loose=fewer(self._loose))

    def is_nested(self, name: str, path: str) -> bool:
        """Whether `path`, found for `name`, lies in a folder that the name does not tell."""
        return loose_name(self.within[path]).rpartition("/")[0] != loose_name(name).rpartition("/")[0]

    def same_file(self, path: str) -> str:
        """The file behind a path: equal for two paths that are one file by a link.

        A link into a hidden folder, where some tools keep the contents of all files, is a file of its own.
        """
        target = self.targets.get(path, path)
        return path if is_hidden(target) else target

    def unlisted(self, found: Iterable[str]) -> tuple[str, ...]:
        """The image files that are not among `found`."""
        named = set(found)
        return tuple(path for path in self.paths if path not in named and looks_like_image(path))

    def others(self, found: Iterable[str] = ()) -> tuple[str, ...]:
        """The files that are no images by their name, no study files and not among `found`."""
        named = set(found)
        return tuple(
            path
            for path in self.paths
            if path not in named and not looks_like_image(path) and not _is_study(path_of(path, self.data_dir))
        )

    @cached_property
    def _last_parts(self) -> dict[str, list[str]]:
        """Last part of the name, with and without its suffix → paths of images."""
        known: dict[str, list[str]] = {}
        for path in self.paths:
            is_image = looks_like_image(path) if self.images is None else path in self.images
            if is_image and path not in self.refused:
                last = loose_name(self.within[path]).rpartition("/")[2]
                for part in {last, without_suffix(last)}:
                    known.setdefault(part, []).append(path)
        return known

    def _by_last_part(self, name: str) -> list[str]:
        key = loose_name(name)
        hits = self._last_parts.get(key.rpartition("/")[2], [])
        names = {path: loose_name(self.within[path]) for path in hits}
        if without_suffix(key) == key:  # an identifier: the suffix is the file's alone
            names = {path: without_suffix(found) for path, found in names.items()}
        beside = [path for path, found in names.items() if found == key]
        nested = [
            path
            for path, found in names.items()
            if found.endswith(f"/{key}") and mask_folder((), PurePosixPath(path).parts[:-1]) is None
        ]
        return beside or nested


def hub_store(real_root: Path) -> Path | None:
    """Where the files of a hub cache's snapshot lie: `NAME/blobs`, of a folder in `NAME/snapshots/REVISION`; or None.

    The hub's client puts links alone into a snapshot, so its own store counts as inside, and no other folder does.
    """
    for place in (real_root, *real_root.parents):
        if place.parent.name == "snapshots" and (place.parent.parent / "blobs").is_dir():
            return Path(os.path.realpath(place.parent.parent / "blobs"))
    return None


def list_files(data_dir: Path, folders: Sequence[str] = (".",), links_out: bool = False) -> Files:
    """Walks `folders` (relative to `data_dir`) once; names are found relative to the folder that holds them.

    Links that lead out of `data_dir` are refused, unless they lead into the store of the hub cache that `data_dir` is a
    snapshot of.

    Args:
        data_dir: the data folder.
        folders: that are walked.
        links_out: whether links that lead out of `data_dir` are followed, where the user names the folder for this.

    Raises:
        UserError: a folder is absent, a link out of the root, or may not be looked into.
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
            raise UserError(f"no folder {start}")
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
    """Every file's name relative to where the walk began, why it is refused, and the file behind a link (else None).

    Links in circles end.
    """
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
            inside = target.is_relative_to(real_root)
            if not inside and not links_out and not (store and target.is_relative_to(store)):
                what = "a link to a folder out of" if target.is_dir() else "a link out of"
                yield name, f"{what} the data folder: refused; {LINK_ADVICE}", None
            elif target.is_file():
                yield name, "", name_of(target.relative_to(real_root).as_posix()) if inside else None
            elif not target.is_dir():
                yield name, "a link to a file that is not there", None
            elif not any(place.is_relative_to(target) for place in (*above, here)):
                yield from _walk(Path(entry.path), real_root, (*above, here), links_out, store, f"{name}/", True)
        elif entry.is_dir():
            yield from _walk(Path(entry.path), real_root, (*above, here), links_out, store, f"{name}/", linked)
        elif entry.is_file():
            behind = linked and here.is_relative_to(real_root)
            yield name, "", name_of((here / entry.name).relative_to(real_root).as_posix()) if behind else None


def relative_name(cell: str, data_dir: Path) -> str | None:
    """A table's cell as a name below `data_dir`; None where it leads out of it, links resolved.

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
    """What an option of a study names, as the path below the data folder that `Files` has.

    Raises:
        UserError: it leads out of the folder.
    """
    name = relative_name(option, data_dir)
    if name is None:
        raise UserError(f"'{option}' leads out of {data_dir}: refused; name a place below it")
    return name


def loose_name(name: str) -> str:
    """A name without what may be written differently: spaces, backslashes, the suffix's case, the unicode form."""
    text = name if name.isascii() else unicodedata.normalize("NFC", name)
    *folders, last = (part.strip() for part in text.replace("\\", "/").split("/"))
    stem, dot, suffix = last.rpartition(".")
    return "/".join([*folders, stem + dot + (suffix.lower() if stem else suffix)])


def without_suffix(name: str) -> str:
    """A name without an image's suffix; what follows the last point of a UID is none.

    >>> without_suffix("a/1.2.840.png"), without_suffix("a/1.2.840")
    ('a/1.2.840', 'a/1.2.840')
    """
    stem, _, suffix = name.rpartition(".")
    return stem if stem and f".{suffix.lower()}" in IMAGE_SUFFIXES else name
