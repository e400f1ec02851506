"""Whose images DICOM files are, and what else their headers fill of a cohort's table.

A patient is the header's PatientID with its issuer. What is written of it is a keyed hash (HMAC-SHA-256, 64 bits). The
same patient has the same hash in every run of one salt, so that `evaluate` still knows whom a run has seen. This is not
anonymisation: whoever has the salt (there is none unless a study sets it) can try every id that a hospital may give.
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
"""Files so called are not looked into for a header."""

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
"""Ids that stand for nobody, without marks between words; so do those of zeros or of "x" alone."""

FEW_YEARS, MANY_YEARS = 2, 15  # that birth years, and ages without a date, of one person may seem apart


class HeaderOptions(Config):
    """What a study's `[data]` may say of DICOM headers.

    Attributes:
        patient_ids: whether ids from headers are hashed in everything that is written, or stand as they are.
        salt: secret text that the hash depends on, or "env:NAME" for the environment variable NAME. Runs of one salt
            know each other's patients; a run keeps the study file, and so this text, unless it is "env:NAME".
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
        """The key of the hash.

        Raises:
            UserError: the environment variable that holds it is not set.
        """
        text = self.salt
        if text.startswith("env:"):
            text = os.environ.get(text.removeprefix("env:"), "")
            if not text:
                raise UserError(
                    f"the study's [data] takes the salt of its patient ids from the environment variable "
                    f"{self.salt.removeprefix('env:')}, which is not set; set it to the text of the first run"
                )
        return b"cxrlens patient ids\0" + text.encode()


def with_headers(
    cohort: Cohort, data_dir: Path, options: HeaderOptions, headers: Mapping[str, Header | str] | None = None
) -> Cohort:
    """Fills what a source does not say of its images from the headers of those that are DICOM.

    What the source says stays: its patient, sex, age, view, date, site and source go before the header's.

    Args:
        cohort: as the source lists it; `patient_known` says whose patient it names.
        data_dir: the folder that `path` is relative to.
        options: the study's.
        headers: of the files, where they have been read.

    Returns:
        The cohort with more of its table filled, and sentences on what could not be known among its warnings.
    """
    table = cohort.table
    cells = [path if isinstance(path, str) else None for path in table["path"]]
    if headers is None:
        wanted = [path for path in cells if path is not None and PurePosixPath(path).suffix.lower() not in NOT_DICOM]
        headers = read_headers(data_dir, wanted)
    known = {path: header for path, header in headers.items() if isinstance(header, Header)}
    damaged = len(headers) - len(known)
    told = [f"{damaged} of {len(headers)} DICOM headers cannot be read"] if damaged else []
    if not known:
        return replace(cohort, warnings=(*cohort.warnings, *told))
    patients, about = name_patients(known, options)
    rows = [known.get(path) if path is not None else None for path in cells]
    own = known_patients(table).tolist()
    names, clash = _merge(table["patient"].tolist(), own, cells, patients)
    used = [header for header in rows if header is not None]
    columns: dict[str, list[object]] = {
        "sex": [header.sex if header else None for header in rows],
        "age": [header.age if header else math.nan for header in rows],
        "view": [header.view.name if header else None for header in rows],
        "date": [header.date.isoformat() if header and header.date else None for header in rows],
        "site": [header.site or None if header else None for header in rows],
        "source": [header.device or None if header else None for header in rows],
    }
    silent = sum(
        header is not None and not header.refused and header.view.name is None and view is None
        for header, view in zip(rows, table["view"], strict=True)
    )
    filled = table.assign(patient=names)
    for name, values in columns.items():
        both = [new if old is None or old != old else old for old, new in zip(table[name], values, strict=True)]
        filled[name] = pd.Series(both, index=table.index, dtype=table[name].dtype)
    filled["patient_known"] = [known or path in patients for known, path in zip(own, cells, strict=True)]
    if any(header is not None and not known for header, known in zip(rows, own, strict=True)):
        told += about
    differ = sum(header.ages_differ for header in used)
    if differ:
        told.append(
            f"{many(differ, 'DICOM header')}: the age and the date of birth disagree by years; the stated age is used"
        )
    if silent:
        told.append(f"{silent} of {len(used)} DICOM headers state no view: each is taken as a frontal one")
    return replace(cohort, table=filled, warnings=(*cohort.warnings, *told, *clash))


def name_patients(headers: Mapping[str, Header], options: HeaderOptions) -> tuple[dict[str, str], list[str]]:
    """What to call the patient of each file, and sentences on those who are not known.

    An id that is a placeholder ("ANONYMOUS", "0", one id for several people) names nobody: such images are kept
    together by study, where the header has one, and are their own patients otherwise. One id for two people who differ
    in sex or birth date is two patients where their institutions tell them apart, else one.

    Args:
        headers: path → header.
        options: the study's.

    Returns:
        Path → name, without the files of unknown patients; sentences for the user.
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
    one, apart = 0, 0
    alone = len(groups) == 1 and len(headers) > 3
    for (issuer, number), paths in groups.items():
        people = [headers[path] for path in paths]
        several = _people(people)
        if _is_placeholder(number):
            absent += paths
        elif several > 2 or (alone and (several > 1 or not any(each.sex or each.birth for each in people))):
            shared += paths
        else:
            by_site: dict[str, list[str]] = {}
            for path in paths:
                by_site.setdefault(" ".join(headers[path].site.split()).casefold(), []).append(path)
            split = several > 1 and len(by_site) > 1
            split = split and all(_people([headers[path] for path in some]) == 1 for some in by_site.values())
            one += several > 1 and not split
            apart += split
            for site, some in by_site.items():
                shown = headers[paths[0]].patient_id.strip()
                name = _name(options, key, (issuer, number, site if split else ""), shown)
                names |= dict.fromkeys(some, name)
    told = _unknown(headers, absent, shared, names, options, key)
    if one:
        told.append(
            f"{many(one, 'patient id')} of the DICOM headers, of people who differ in sex or birth date: each counts "
            "as one patient"
        )
    if apart:
        told.append(
            f"{many(apart, 'patient id')} of the DICOM headers, of different people at different institutions: these "
            "count as different patients"
        )
    return names, told


def hashed(key: bytes, *parts: str) -> str:
    """A name that tells nothing by itself: "p-" and 16 hexadecimal digits.

    >>> hashed(b"a", "", "123") == hashed(b"a", "", "123"), hashed(b"a", "", "123") == hashed(b"b", "", "123")
    (True, False)
    """
    return f"p-{hmac.new(key, chr(0).join(parts).encode(), hashlib.sha256).hexdigest()[:16]}"


def _name(options: HeaderOptions, key: bytes, parts: Sequence[str], shown: str) -> str:
    if options.patient_ids == "hashed":
        return hashed(key, *parts)
    issuer, _, site = parts
    return " / ".join(part for part in (issuer, site, shown) if part)


def _unknown(
    headers: Mapping[str, Header],
    absent: list[str],
    shared: list[str],
    names: dict[str, str],
    options: HeaderOptions,
    key: bytes,
) -> list[str]:
    """Names the images of unknown patients after their study, where that tells them apart; says how many there are."""
    unknown = [*absent, *shared]
    if not unknown:
        return []
    studies: dict[str, list[str]] = {}
    for path in unknown:
        if headers[path].study:
            studies.setdefault(headers[path].study, []).append(path)
    kept = 0
    for study, paths in studies.items():
        whole = len(paths) == len(unknown) and len(paths) > 3  # one study for all is a placeholder too
        if len(paths) > 1 and not whole and _people([headers[path] for path in paths]) == 1:
            names |= dict.fromkeys(paths, f"study-{hashed(key, 'study', study)[2:]}")
            kept += len(paths)
    reasons = [
        f"{len(absent)} without one or with a placeholder" if absent else "",
        f"{len(shared)} under one id for several people or for all" if shared else "",
    ]
    why = ", ".join(filter(None, reasons))
    told = f"{len(unknown)} of {len(headers)} DICOM headers name no patient (PatientID: {why})"
    if kept:
        told += f"; {kept} of these images are kept together by study"
    rest = "the others count each as a patient of its own" if kept else "each counts as a patient of its own"
    return [f"{told}; {rest}: a patient may be on both sides of the split"]


def _merge(
    names: Sequence[str], own: Sequence[bool], cells: Sequence[str | None], patients: Mapping[str, str]
) -> tuple[list[str], list[str]]:
    """The source's patient, else the header's (called as the source calls them, where both name one); what clashes."""
    both: dict[str, set[str]] = {}
    for name, known, path in zip(names, own, cells, strict=True):
        if known and path in patients:
            both.setdefault(patients[path], set()).add(name)
    merged = []
    for name, known, path in zip(names, own, cells, strict=True):
        header = patients.get(path) if path is not None and not known else None
        as_source = both.get(header, set()) if header is not None else set()
        merged.append(next(iter(as_source)) if len(as_source) == 1 else header or name)
    clash = sum(len(some) > 1 for some in both.values())
    if not clash:
        return merged, []
    return merged, [
        f"{many(clash, 'patient')} of the DICOM headers with several ids in the study's own table or pattern, which "
        "counts: such a patient may be on both sides of the split"
    ]


def _is_placeholder(number: str) -> bool:
    """Whether an id stands for nobody.

    >>> [_is_placeholder(text) for text in ("", "anonymous", "00000", "xxx", "de-identified", "n/a", "anon007", "1")]
    [True, True, True, True, True, True, False, False]
    """
    plain = re.sub(r"[\W_]", "", number)
    return not plain or plain in PLACEHOLDERS or not plain.strip("0") or not plain.strip("x")


def _people(headers: Sequence[Header]) -> int:
    """How many people some headers are of at least, by sex and birth."""
    sexes = len({header.sex for header in headers} - {None})
    births = [header.birth for header in headers if header.birth]
    years = [header.date.year - header.age for header in headers if header.date and not math.isnan(header.age)]
    ages = [header.age for header in headers if not header.date and not math.isnan(header.age)]
    return max(1, sexes, len(set(births)), _clusters(years, FEW_YEARS), _clusters(ages, MANY_YEARS))


def _clusters(values: Sequence[float], gap: float) -> int:
    ordered = sorted(values)
    return (1 if ordered else 0) + sum(later - earlier > gap for earlier, later in pairwise(ordered))
