"""One folder per class, such as `train/NORMAL/` and `train/PNEUMONIA/` (the layout of Kermany et al. 2018)."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path, PurePosixPath

import pandas as pd
from pydantic import model_validator

from cxrlens.data.cohort import Cohort, cohort_table
from cxrlens.data.dicom_patients import HeaderOptions, with_headers
from cxrlens.data.files import (
    Files,
    find_data_dir,
    fold_name,
    list_files,
    looks_like_image,
    mask_files,
    mask_folder,
)
from cxrlens.data.findings import check_occur
from cxrlens.data.listed import read_below
from cxrlens.data.sources import (
    SOURCES,
    PatientPattern,
    Source,
    exclude_notes,
    excluded_by,
    pattern_patient,
    pattern_warning,
)
from cxrlens.errors import UserError
from cxrlens.text import first_few, many

NEGATIVE_NAMES = frozenset(
    {"normal", "normals", "negative", "negatives", "neg", "no finding", "no findings", "nofinding", "healthy"}
    | {"control", "controls", "0", "no", "false"}
)
NOT = ("no", "non", "not", "without")
COPIES = "links to files that are listed themselves"
MOST_FOLDERS = 12  # folders of no class that are counted one by one


@SOURCES.register("image_folder")
class ImageFolder(HeaderOptions, Source):
    r"""Images whose class is the name of a folder above them.

    Masks are left out and counted: files below a folder called masks, segmentation, labels and the like, and
    `x_mask.png` beside `x.png`, unless positive or negative names their folder.

    Attributes:
        positive: folders of the positive class: names of folders anywhere above the file, or paths such as
            "COVID/images". Folders whose name differs only in case or in "_" and "-" for spaces belong to the same
            class.
        negative: folders of the negative class. If neither positive nor negative is given, there must be exactly two
            class folders, and the name of one must be a usual one for negatives (NORMAL, negative, no finding,
            healthy, control, 0, no, non-COVID beside COVID).
        exclude: glob patterns of paths to leave out, such as "*/lateral/*"; `*` also matches "/".
        patient_pattern: regular expression, such as `person(\d+)_|(IM-\d+|NORMAL2-IM-\d+)`; the first group that takes
            part in the match is the patient. It is searched in the file name, then in the path below the class folder,
            such as `^(P\d+)/`, then in the whole path. A file without a match counts as a patient of its own, as do
            all files without this option.

    DICOM headers fill empty cells of patient, sex, age, view, date, site and device (see `HeaderOptions`).
    """

    positive: tuple[str, ...] = ()
    negative: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    patient_pattern: PatientPattern | None = None

    @model_validator(mode="after")
    def _both_or_neither(self) -> ImageFolder:
        if bool(self.positive) != bool(self.negative):
            raise ValueError("give both positive and negative folder names, or neither")
        if not all(_parts((*self.positive, *self.negative))):
            raise ValueError("each class needs names or paths of folders; an entry is empty")
        return self

    def cohort(self, data_dir: Path | None) -> Cohort:
        """Lists the images by path: `image` is the path below the data folder, `finding` the class folder."""
        data_dir = find_data_dir(data_dir, ("*/",), "a folder for each class")
        files = list_files(data_dir)
        all_paths = [path for path in files.paths if "/" in path and looks_like_image(path)]
        excluded = {path: excluded_by(self.exclude, path) for path in all_paths}
        paths = [path for path in all_paths if excluded[path] is None]
        classes, warnings = self._classes(data_dir, paths, files)
        masks_beside = mask_files(paths)
        left_out = Counter(f"excluded by '{pattern}'" for pattern in excluded.values() if pattern is not None)
        rows: list[_Row] = []
        masks, elsewhere = Counter[str](), Counter[tuple[str, ...]]()
        for path in paths:
            place = classes.place(data_dir, path)
            folders = PurePosixPath(path).parts[:-1]
            mask = mask_folder(folders[: place.start], folders[place.end :]) if place is not None else None
            if place is None:
                elsewhere[folders] += 1
            elif mask is not None:
                masks[f"in folders named {mask}"] += 1
            elif path in masks_beside:
                masks["called as the mask of an image beside it"] += 1
            else:
                patient = self._patient(folders[place.end :], path)
                rows.append(_Row(path, place.label, place.name, patient, "/".join(folders)))
        if masks:
            reasons = ", ".join(f"{count} {reason}" for reason, count in masks.items())
            warnings.append(
                f"{many(masks.total(), 'file', 'are')} taken for masks, not for X-rays, and left out ({reasons}); to "
                f'use them, name their folder, as in positive = ["{_example(masks, classes.positive)}"]'
            )
        left_out += masks
        left_out += _no_class(elsewhere)
        origins = dict.fromkeys(masks, "a mask, not an X-ray")
        if not rows:
            raise UserError(f"{data_dir}: the class folders {classes.names} hold no image{_reasons(left_out)}")
        rows = _once(files, rows, left_out)
        if self.patient_pattern is not None:
            warnings += self._pattern_warning(self.patient_pattern, {row.image: row.patient for row in rows})
        warnings += _second_copy([row.image for row in rows])
        origins |= dict.fromkeys([COPIES] if left_out[COPIES] else [], "counted once")
        notes = exclude_notes(self.exclude, excluded.values())
        return replace(self._cohort(files, pd.DataFrame(rows), left_out, warnings, origins), notes=notes)

    def _cohort(
        self, files: Files, rows: pd.DataFrame, left_out: Counter[str], warnings: Sequence[str], origins: dict[str, str]
    ) -> Cohort:
        table = cohort_table(rows)
        images = rows["image"].tolist()
        table["path"] = pd.Series([None if path in files.refused else path for path in images], dtype=object)
        cohort = Cohort(
            "image_folder",
            table,
            partial(read_below, files.data_dir),
            {path: files.refused[path] for path in images if path in files.refused},
            dict(left_out),
            files.unlisted(images),
            files.others(),
            tuple(warnings),
            origins,
            data_dir=files.data_dir,
        )
        return self._with_headers(cohort, files.data_dir)

    def _with_headers(self, cohort: Cohort, data_dir: Path) -> Cohort:
        return with_headers(cohort, data_dir, self)

    def _classes(self, data_dir: Path, paths: list[str], files: Files) -> tuple[_Classes, list[str]]:
        """The class folders, and warnings on their spellings and on links out of the data folder."""
        refused_links = [path for path, reason in files.refused.items() if "folder" in reason]
        links = f"; links out of the folder, not followed: {first_few(refused_links, 5)}" if refused_links else ""
        folders = [PurePosixPath(path).parts[:-1] for path in paths]
        if not self.positive:
            return _guessed(data_dir, folders, links)
        classes = _Classes(_parts(self.positive), _parts(self.negative))
        lengths = {len(parts) for parts in (*classes.positive, *classes.negative)}
        known = {
            _written(parts[start : start + length])
            for parts in set(folders)
            for length in lengths
            for start in range(len(parts) - length + 1)
        }
        entries = {"positive": classes.positive, "negative": classes.negative}
        try:
            check_occur(
                {
                    option: [unicodedata.normalize("NFC", "/".join(parts)) for parts in names]
                    for option, names in entries.items()
                },
                known,
                f"the folder names below {data_dir}",
            )
        except UserError as error:
            raise UserError(f"{error}{links}") from error
        warnings = _spellings(known, [*map(_written, (*classes.positive, *classes.negative))])
        return classes, warnings + ([links.removeprefix("; ")] if links else [])

    @staticmethod
    def _pattern_warning(pattern: str, patients: Mapping[str, str | None]) -> tuple[str, ...]:
        """The warning on paths that a pattern does not match; an error where it matches none."""
        path = next(iter(patients), "")
        names = f"file name; the first is '{PurePosixPath(path).name}', and no path: '{path}'"
        return pattern_warning(pattern, [*patients.values()], names)

    def _patient(self, below: Sequence[str], path: str) -> str | None:
        if self.patient_pattern is None:
            return None
        name = PurePosixPath(path).name
        return pattern_patient(self.patient_pattern, [name, "/".join([*below, name]), path])


@dataclass(frozen=True)
class _Row:
    """An image of the cohort; `folder` is the path of its folder."""

    image: str
    label: float
    finding: str
    patient: str | None
    folder: str


@dataclass(frozen=True)
class _ClassFolder:
    """The class folder of a path: `folders[start:end]`, called `name` in the study."""

    name: str
    label: float
    start: int
    end: int


@dataclass(frozen=True)
class _Classes:
    """The folders of both classes; each folder is the tuple of its path's parts."""

    positive: tuple[tuple[str, ...], ...]
    negative: tuple[tuple[str, ...], ...]

    @property
    def names(self) -> str:
        """The names of all class folders, for messages."""
        return ", ".join("/".join(parts) for parts in (*self.positive, *self.negative))

    def place(self, data_dir: Path, path: str) -> _ClassFolder | None:
        """The innermost class folder above a file; None where there is none.

        Raises:
            UserError: folders of both classes are above the file.
        """
        folders = PurePosixPath(path).parts[:-1]
        places = self._matches(folders) or self._matches([fold_name(folder) for folder in folders], fold_name)
        if len({place.label for place in places}) > 1:
            names = ", ".join(place.name for place in sorted(places, key=lambda place: place.start))
            raise UserError(f"{data_dir / path} lies in folders of both classes: {names}")
        return max(places, key=lambda place: (place.end, -place.start), default=None)

    def _matches(self, folders: Sequence[str], write: Callable[[str], str] = str) -> list[_ClassFolder]:
        return [
            _ClassFolder("/".join(entry), label, start, start + len(entry))
            for label, entries in ((1.0, self.positive), (0.0, self.negative))
            for entry in entries
            for start in range(len(folders) - len(entry) + 1)
            if [*folders[start : start + len(entry)]] == [write(part) for part in entry]
        ]


def _parts(names: Iterable[str]) -> tuple[tuple[str, ...], ...]:
    return tuple(PurePosixPath(name.replace("\\", "/").strip("/")).parts for name in names)


def _written(parts: Sequence[str]) -> str:
    """A class folder as a path in the unicode form of study files."""
    return unicodedata.normalize("NFC", "/".join(parts))


def _guessed(data_dir: Path, folders: list[tuple[str, ...]], links: str) -> tuple[_Classes, list[str]]:
    """The only two sibling folders above all images of which one has a usual name for negatives."""
    folders = [parts for parts in dict.fromkeys(folders) if mask_folder(parts) is None]
    last = {parts[-1] for parts in folders}
    negative = [name for name in last if _is_negative(fold_name(name), {fold_name(other) for other in last})]
    if len(last) == 2 and len(negative) == 1:
        return _Classes(_parts(last - {*negative}), _parts(negative)), [links.removeprefix("; ")] if links else []
    siblings: dict[tuple[str, ...], set[str]] = {}  # normalised parent folders → normalised names of their folders
    spellings: dict[str, list[str]] = {}
    for parts in folders:
        folded = [fold_name(part) for part in parts]
        for depth, name in enumerate(folded):
            siblings.setdefault(tuple(folded[:depth]), set()).add(name)
            if parts[depth] not in spellings.setdefault(name, []):
                spellings[name].append(parts[depth])
    pairs = set()
    for names in siblings.values():
        negative = [name for name in names if _is_negative(name, names)]
        if len(names) == 2 and len(negative) == 1:
            pairs.add((*(names - {*negative}), *negative))
    covering = [pair for pair in pairs if all(sum(fold_name(part) in pair for part in parts) == 1 for parts in folders)]
    if len(covering) != 1:
        names = ", ".join(sorted({"/".join(parts) for parts in folders})[:12]) or "none"
        raise UserError(
            f"{data_dir}: the class folders are unclear; set positive and negative in [data], as names or paths; "
            f"folders with images: {names}{links}"
        )
    positive, negative = ((spellings[name][0],) for name in covering[0])
    warnings = _spellings({name for names in spellings.values() for name in names}, (*positive, *negative))
    return _Classes((positive,), (negative,)), warnings + ([links.removeprefix("; ")] if links else [])


def _is_negative(name: str, names: set[str]) -> bool:
    if name in NEGATIVE_NAMES or name.partition(" ")[0] in NOT:
        return True
    return any(name == f"{word}{other}".replace(" ", "") for word in NOT for other in names)


def _spellings(known: Iterable[str], names: Sequence[str]) -> list[str]:
    """A warning on folders that belong to a class although their name is written differently."""
    classes = {tuple(map(fold_name, name.split("/"))) for name in names}
    exact = set(names)
    other = sorted(name for name in known if name not in exact and tuple(map(fold_name, name.split("/"))) in classes)
    if not other:
        return []
    return [f"folders written in another way count as the class of the same name: {', '.join(map(repr, other))}"]


def _no_class(elsewhere: Counter[tuple[str, ...]]) -> Counter[str]:
    """Reason → number of files in folders of no class, by folder; by the top folder where there are many folders."""
    depth = 1 if len(elsewhere) > MOST_FOLDERS else None
    reasons = Counter[str]()
    for folders, count in elsewhere.items():
        reasons[f"folder {'/'.join(folders[:depth])} is no class"] += count
    return reasons


def _example(masks: Counter[str], positive: Sequence[Sequence[str]]) -> str:
    folder = next((reason.removeprefix("in folders named ") for reason in masks if reason.startswith("in ")), "masks")
    return "/".join([*positive[0], folder])


def _reasons(left_out: Counter[str]) -> str:
    reasons = [f"{count} {reason}" for reason, count in left_out.most_common(5)]
    return f"; left out: {', '.join(reasons)}" if reasons else ""


def _once(files: Files, rows: list[_Row], left_out: Counter[str]) -> list[_Row]:
    """One row per file: a link to a listed file is left out and counted."""
    first: dict[str, _Row] = {}
    for row in sorted(rows, key=lambda row: row.image in files.targets):  # a file before its links
        original = first.setdefault(files.same_file(row.image), row)
        if original.label != row.label:
            raise UserError(f"{row.image} is a link to {original.image}, which is of the other class; keep one")
        if original is not row:
            left_out[COPIES] += 1
    once = {row.image for row in first.values()}
    return [row for row in rows if row.image in once]


def _second_copy(images: Sequence[str]) -> list[str]:
    """A warning on a folder that lies in one of its own name and repeats its files, as in some published archives."""
    listed = set(images)
    copies = Counter[str]()
    for image in images:
        parts = PurePosixPath(image).parts
        for place in range(1, len(parts) - 1):
            if parts[place] == parts[place - 1] and "/".join((*parts[:place], *parts[place + 1 :])) in listed:
                copies["/".join(parts[: place + 1])] += 1
    return [
        f"{many(count, 'image')} in {folder} named as in the folder above it: a second copy? "
        f'(exclude = ["{folder}/*"] leaves them out)'
        for folder, count in copies.items()
    ]
