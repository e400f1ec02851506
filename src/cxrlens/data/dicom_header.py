"""Reads DICOM headers: patient, sex, age, view, date and place. Names of people are never read."""

from __future__ import annotations

import datetime
import math
import os
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from pydicom import Dataset, dcmread
from pydicom.uid import DeflatedExplicitVRLittleEndian

from cxrlens.data.demographics import age_in_years, sex_letter
from cxrlens.data.dicom import is_dicom, read_header, refuse_modality
from cxrlens.data.dicom_view import VIEW_TAGS, View, examine_view
from cxrlens.data.unreadable import MAX_BYTES, UnreadableImage, recorded_warnings
from cxrlens.names import path_of

DATES = ("StudyDate", "SeriesDate", "AcquisitionDate", "ContentDate")
TAGS = (
    "SpecificCharacterSet", "Modality", "SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "AccessionNumber",
    "PatientID", "IssuerOfPatientID", "PatientSex", "PatientAge", "PatientBirthDate", *DATES, "Rows",
    "InstitutionName", "StationName", "Manufacturer", "ManufacturerModelName", *VIEW_TAGS,
)  # fmt: skip
"""The elements that are read; they include no name, address or telephone number."""

LONGEST = 2**20  # bytes of an element; those of `TAGS` take at most a few kilobytes


@dataclass(frozen=True)
class Header:
    """The elements of a DICOM header that are read.

    Attributes:
        patient_id: PatientID as written; "" where it is absent.
        issuer: issuer of the patient id; "" where it is absent.
        sex: "M", "F" or None (unknown).
        age: age in years; NaN where it is not stated and cannot be computed from two dates.
        birth: date of birth; it is never written to a file.
        date: date of the study, else of the series, the acquisition or the content.
        study: Study Instance UID.
        instance: SOP Instance UID.
        accession: accession number of the order.
        site: name of the institution.
        device: manufacturer and model, else the station name.
        view: view and body part, from `examine_view`.
        refused: why the file is not a frontal chest radiograph; None where it may be one.
        ages_differ: whether the stated age and the age by the dates differ by more than 1.5 years.
    """

    patient_id: str = ""
    issuer: str = ""
    sex: str | None = None
    age: float = math.nan
    birth: datetime.date | None = None
    date: datetime.date | None = None
    study: str = ""
    instance: str = ""
    accession: str = ""
    site: str = ""
    device: str = ""
    view: View = field(default_factory=View)
    refused: str | None = None
    ages_differ: bool = False

    @property
    def identity(self) -> tuple[str, str]:
        """Issuer and id of the patient, without differences in case and spaces."""
        return " ".join(self.issuer.split()).casefold(), " ".join(self.patient_id.split()).casefold()


def read_headers(data_dir: Path, paths: Iterable[str]) -> dict[str, Header | str]:
    """Reads the headers of the DICOM files among some files, without their pixels.

    Args:
        data_dir: data folder.
        paths: paths of the files, relative to `data_dir`.

    Returns:
        Path → header, or the reason why it cannot be read; files of other formats are left out.
    """
    paths = list(paths)
    # Warnings are dropped here: reading the pixels records them.
    with recorded_warnings([]), ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        headers = list(pool.map(lambda path: _read(path_of(path, data_dir)), paths))
    return {path: header for path, header in zip(paths, headers, strict=True) if header is not None}


class _Bounded:
    """A file that refuses to read more than `LONGEST` bytes at once."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.seek, self.tell, self.close = file.seek, file.tell, file.close

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= LONGEST:
            raise UnreadableImage(f"an element of more than {LONGEST:,} bytes in the header")
        return self._file.read(size)


def _read(path: Path) -> Header | str | None:
    try:
        with path.open("rb") as file:
            start = file.read(1024)
            if not is_dicom(start):
                return None
            if path.stat().st_size > MAX_BYTES:
                return f"more than {MAX_BYTES:,} bytes"
            file.seek(0)
            if DeflatedExplicitVRLittleEndian.encode() in start:
                return _facts(read_header(file.read()))
            return _facts(dcmread(_Bounded(file), stop_before_pixels=True, specific_tags=list(TAGS)))
    except UnreadableImage as error:
        return error.reason
    except (OSError, ValueError) as error:
        return str(error)
    except Exception as error:  # a parser may raise anything on a damaged file
        return f"damaged DICOM header: {type(error).__name__}"


def _facts(header: Dataset) -> Header:
    view = examine_view(header)
    refused = view.refused
    try:
        refuse_modality(header)
    except UnreadableImage as error:
        refused = error.reason
    if refused is None and "Rows" not in header:
        raise UnreadableImage("no picture in this DICOM, or its header is cut off")
    birth = _date(_text(header, "PatientBirthDate"))
    date = next((day for name in DATES if (day := _date(_text(header, name)))), None)
    age = age_in_years(_text(header, "PatientAge"))
    by_dates = (date - birth).days / 365.25 if date and birth else math.nan
    by_dates = by_dates if 0 <= by_dates <= 120 else math.nan
    model = f"{_text(header, 'Manufacturer')} {_text(header, 'ManufacturerModelName')}".strip()
    return Header(
        patient_id=_text(header, "PatientID"),
        issuer=_text(header, "IssuerOfPatientID"),
        sex=sex_letter(_text(header, "PatientSex")),
        age=by_dates if math.isnan(age) else age,
        birth=birth,
        date=date,
        study=_text(header, "StudyInstanceUID"),
        instance=_text(header, "SOPInstanceUID"),
        accession=_text(header, "AccessionNumber"),
        site=_text(header, "InstitutionName"),
        device=model or _text(header, "StationName"),
        view=view,
        refused=refused,
        ages_differ=abs(age - by_dates) > 1.5,
    )


def _text(header: Dataset, keyword: str) -> str:
    value = header.get(keyword)
    return "" if value is None else str(value).replace(chr(0), "").strip()


def _date(text: str) -> datetime.date | None:
    match = re.fullmatch(r"(\d{4})[.-]?(\d{2})[.-]?(\d{2})", text)
    try:
        return datetime.date(*map(int, match.groups())) if match else None
    except ValueError:
        return None


def refusal_counts(headers: Mapping[str, Header | str]) -> Counter[str]:
    """Reason why a header is not of a frontal chest radiograph → number of files."""
    return Counter(
        header.refused.split(";")[0] for header in headers.values() if isinstance(header, Header) and header.refused
    )
