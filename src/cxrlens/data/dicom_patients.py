"""Fills a cohort's table from DICOM headers: patients first, then sex, age, view, date, site and device.

A patient is identified by PatientID and its issuer. Files hold only a keyed hash of the two (HMAC-SHA-256, 64 bits).
Runs with the same salt give the same patient the same hash, so `evaluate` recognises the patients of an earlier run.
This is not anonymisation: whoever has the salt (empty unless a study sets one) can try all ids of a hospital.
"""

from __future__ import annotations

import hashlib
import hmac
import math
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path, PurePosixPath
from typing import Literal

import pandas as pd
from pydantic import field_validator

from cxrlens.config import Config
from cxrlens.data.cohort import Cohort, known_patients
from cxrlens.data.dicom_header import Header, read_headers
from cxrlens.data.files import PICTURES
from cxrlens.errors import UserError
from cxrlens.text import many

NOT_DICOM = PICTURES | {".csv", ".txt"}
"""Suffixes of files that are never opened for a DICOM header."""

PLACEHOLDERS = frozenset(
    {
        *("anonymous", "anonymized", "anonymised", "anonym", "anon", "deidentified", "deid", "removed", "redacted"),
        *(
            "hidden",
            "masked",
            "blank",
            "empty",
            "default",
            "unknown",
            "unkn",
            "unk",
            "none",
            "null",
            "nil",
            "na",
            "nan",
        ),
        *("noid", "id", "pid", "patient", "patientid", "patientname", "test", "dummy", "sample", "demo"),
    }
)
"""Placeholder ids, without punctuation; ids of zeros only or of "x" only are placeholders too."""

FEW_YEARS, MANY_YEARS = 2, 15  # how far the birth years, and the undated ages, of one person may be apart


class HeaderOptions(Config):
    """Options of a study's `[data]` for DICOM headers.

    Attributes:
        patient_ids: how ids from headers appear in written files: hashed, or as they are.
        salt: secret text that the hash depends on, or "env:NAME" for the environment variable NAME. Runs with the same
            salt recognise each other's patients. A run keeps its study file, and with it this text unless it is
            "env:NAME".
    """

    patient_ids: Literal["hashed", "as_they_are"] = "hashed"
    salt: str = ""

    @field_validator("salt")
    @classmethod
    def _names_a_variable(cls, salt: str) -> str:
        if salt.startswith("env:") and not re.fullmatch(r"env:[A-Za-z_][A-Za-z0-9_]*", salt):
            raise ValueError("needs the name of an environment variable after 'env:', such as 'env:CXR_SALT'")
        return salt

    def key(self) -> bytes:
        """The key of the patient hash.

        Raises:
            UserError: the environment variable that holds the salt is not set.
        """
        text = self.salt
        if text.startswith("env:"):
            text = os.environ.get(text.removeprefix("env:"), "")
            if not text:
                raise UserError(
                    f"the study's [data] reads the salt of its patient ids from the environment variable "
                    f"{self.salt.removeprefix('env:')}, which is not set; set it to the same text as in the first run"
                )
        return b"cxrlens patient ids\0" + text.encode()


def with_headers(
    cohort: Cohort, data_dir: Path, options: HeaderOptions, headers: Mapping[str, Header | str] | None = None
) -> Cohort:
    """Fills empty cells of a cohort's table from the headers of its DICOM files.

    The patient, sex, age, view, date, site and source that the data source gives are kept.

    Args:
        cohort: cohort as its source lists it; `patient_known` tells which patients the source names.
        data_dir: folder that the column `path` is relative to.
        options: how patient ids are written.
        headers: path → header, or the reason why it cannot be read; read from the files by default.

    Returns:
        The cohort with a filled table and additional warnings on what the headers leave unknown.
    """
    table = cohort.table
    cells = [path if isinstance(path, str) else None for path in table["path"]]
    if headers is None:
        paths = [path for path in cells if path is not None and PurePosixPath(path).suffix.lower() not in NOT_DICOM]
        headers = read_headers(data_dir, paths)
    readable = {path: header for path, header in headers.items() if isinstance(header, Header)}
    damaged = len(headers) - len(readable)
    warnings = [f"{damaged} of {len(headers)} DICOM headers cannot be read"] if damaged else []
    if not readable:
        return replace(cohort, warnings=(*cohort.warnings, *warnings))
    patients, patient_warnings = name_patients(readable, options)
    rows = [readable.get(path) if path is not None else None for path in cells]
    in_source = known_patients(table).tolist()
    names, conflicts = _merge(table["patient"].tolist(), in_source, cells, patients)
    used = [header for header in rows if header is not None]
    columns: dict[str, list[object]] = {
        "sex": [header.sex if header else None for header in rows],
        "age": [header.age if header else math.nan for header in rows],
        "view": [header.view.name if header else None for header in rows],
        "date": [header.date.isoformat() if header and header.date else None for header in rows],
        "site": [header.site or None if header else None for header in rows],
        "source": [header.device or None if header else None for header in rows],
    }
    without_view = sum(
        header is not None and not header.refused and header.view.name is None and view is None
        for header, view in zip(rows, table["view"], strict=True)
    )
    filled = table.assign(patient=names)
    for name, values in columns.items():
        merged = [new if old is None or old != old else old for old, new in zip(table[name], values, strict=True)]
        filled[name] = pd.Series(merged, index=table.index, dtype=table[name].dtype)
    filled["patient_known"] = [known or path in patients for known, path in zip(in_source, cells, strict=True)]
    if any(header is not None and not known for header, known in zip(rows, in_source, strict=True)):
        warnings += patient_warnings
    differ = sum(header.ages_differ for header in used)
    if differ:
        warnings.append(
            f"{many(differ, 'DICOM header')}: the age and the date of birth disagree by years; the stated age is used"
        )
    if without_view:
        warnings.append(f"{without_view} of {len(used)} DICOM headers state no view: each is taken as a frontal one")
    return replace(cohort, table=filled, warnings=(*cohort.warnings, *warnings, *conflicts))


def name_patients(headers: Mapping[str, Header], options: HeaderOptions) -> tuple[dict[str, str], list[str]]:
    """Names the patient of each file, and warns of unknown and ambiguous patients.

    A placeholder id ("ANONYMOUS", "0", one id for several people) identifies nobody. Images with such an id are grouped
    by study where the header names one; each other one counts as a patient of its own. One id for two people who differ
    in sex or birth date is two patients if their institutions differ, else one.

    Args:
        headers: path → header.
        options: how patient ids are written.

    Returns:
        Path → name of the patient, without the files of unknown patients; warnings for the user.
    """
    key = options.key()
    groups: dict[tuple[str, str], list[str]] = {}
    issuers: dict[str, set[str]] = {}
    for header in headers.values():
        issuers.setdefault(header.identity[1], set()).add(header.identity[0])
    for path, header in headers.items():
        issuer, number = header.identity
        stated = issuers[number] - {""}
        groups.setdefault((issuer or (next(iter(stated)) if len(stated) == 1 else ""), number), []).append(path)
    names: dict[str, str] = {}
    absent: list[str] = []
    shared: list[str] = []
    ambiguous, separated = 0, 0
    single_id = len(groups) == 1 and len(headers) > 3
    for (issuer, number), paths in groups.items():
        patient_headers = [headers[path] for path in paths]
        count = _count_people(patient_headers)
        described = any(header.sex or header.birth for header in patient_headers)
        if _is_placeholder(number):
            absent += paths
        elif count > 2 or (single_id and (count > 1 or not described)):
            shared += paths
        else:
            by_site: dict[str, list[str]] = {}
            for path in paths:
                by_site.setdefault(" ".join(headers[path].site.split()).casefold(), []).append(path)
            split = count > 1 and len(by_site) > 1
            split = split and all(_count_people([headers[path] for path in group]) == 1 for group in by_site.values())
            ambiguous += count > 1 and not split
            separated += split
            for site, group in by_site.items():
                written = headers[paths[0]].patient_id.strip()
                name = _name(options, key, (issuer, number, site if split else ""), written)
                names |= dict.fromkeys(group, name)
    warnings = _unknown(headers, absent, shared, names, key)
    if ambiguous:
        warnings.append(
            f"{many(ambiguous, 'patient id')} of the DICOM headers, of people who differ in sex or birth date: each "
            "counts as one patient"
        )
    if separated:
        warnings.append(
            f"{many(separated, 'patient id')} of the DICOM headers, of different people at different institutions: "
            "these count as different patients"
        )
    return names, warnings


def patient_hash(key: bytes, *parts: str) -> str:
    """The keyed hash of a patient: "p-" and 16 hexadecimal digits.

    Args:
        key: key of the hash, from `HeaderOptions.key`.
        *parts: texts that identify the patient, such as issuer and id.

    >>> patient_hash(b"key", "", "123") == patient_hash(b"key", "", "123")
    True
    >>> patient_hash(b"key", "", "123") == patient_hash(b"other key", "", "123")
    False
    """
    return f"p-{hmac.new(key, chr(0).join(parts).encode(), hashlib.sha256).hexdigest()[:16]}"


def _name(options: HeaderOptions, key: bytes, parts: Sequence[str], written: str) -> str:
    if options.patient_ids == "hashed":
        return patient_hash(key, *parts)
    issuer, _, site = parts
    return " / ".join(part for part in (issuer, site, written) if part)


def _unknown(
    headers: Mapping[str, Header],
    absent: list[str],
    shared: list[str],
    names: dict[str, str],
    key: bytes,
) -> list[str]:
    """Groups the images of unknown patients by study, in `names`, where studies differ; returns the warning."""
    unknown = [*absent, *shared]
    if not unknown:
        return []
    studies: dict[str, list[str]] = {}
    for path in unknown:
        if headers[path].study:
            studies.setdefault(headers[path].study, []).append(path)
    grouped = 0
    for study, paths in studies.items():
        one_study = len(paths) == len(unknown) and len(paths) > 3  # one study for all images is a placeholder too
        if len(paths) > 1 and not one_study and _count_people([headers[path] for path in paths]) == 1:
            names |= dict.fromkeys(paths, f"study-{patient_hash(key, 'study', study)[2:]}")
            grouped += len(paths)
    reasons = [
        f"{len(absent)} without one or with a placeholder" if absent else "",
        f"{len(shared)} under one id for several people or for all" if shared else "",
    ]
    why = ", ".join(filter(None, reasons))
    sentence = f"{len(unknown)} of {len(headers)} DICOM headers name no patient (PatientID: {why})"
    if grouped:
        sentence += f"; {grouped} of these images are kept together by study"
    rest = "the others count each as a patient of its own" if grouped else "each counts as a patient of its own"
    return [f"{sentence}; {rest}: a patient may be on both sides of the split"]


def _merge(
    names: Sequence[str], in_source: Sequence[bool], cells: Sequence[str | None], patients: Mapping[str, str]
) -> tuple[list[str], list[str]]:
    """The source's patient of each image, else the header's, under the source's name where it has one; conflicts."""
    source_names: dict[str, set[str]] = {}
    for name, known, path in zip(names, in_source, cells, strict=True):
        if known and path in patients:
            source_names.setdefault(patients[path], set()).add(name)
    merged = []
    for name, known, path in zip(names, in_source, cells, strict=True):
        header = patients.get(path) if path is not None and not known else None
        known_as = source_names.get(header, set()) if header is not None else set()
        merged.append(next(iter(known_as)) if len(known_as) == 1 else header or name)
    conflicts = sum(len(known_as) > 1 for known_as in source_names.values())
    if not conflicts:
        return merged, []
    return merged, [
        f"{many(conflicts, 'patient')} of the DICOM headers with several ids in the study's own table or pattern, "
        "which counts: such a patient may be on both sides of the split"
    ]


def _is_placeholder(number: str) -> bool:
    """Whether an id is a placeholder.

    >>> [_is_placeholder(text) for text in ("", "anonymous", "00000", "xxx", "de-identified", "n/a", "anon007", "1")]
    [True, True, True, True, True, True, False, False]
    """
    plain = re.sub(r"[\W_]", "", number)
    return not plain or plain in PLACEHOLDERS or not plain.strip("0") or not plain.strip("x")


def _count_people(headers: Sequence[Header]) -> int:
    """The smallest number of people that some headers can belong to, by sex and birth."""
    sexes = len({header.sex for header in headers} - {None})
    births = [header.birth for header in headers if header.birth]
    years = [header.date.year - header.age for header in headers if header.date and not math.isnan(header.age)]
    ages = [header.age for header in headers if not header.date and not math.isnan(header.age)]
    return max(1, sexes, len(set(births)), _clusters(years, FEW_YEARS), _clusters(ages, MANY_YEARS))


def _clusters(values: Sequence[float], gap: float) -> int:
    """The number of groups of values that more than `gap` separates."""
    ordered = sorted(values)
    return (1 if ordered else 0) + sum(later - earlier > gap for earlier, later in pairwise(ordered))
