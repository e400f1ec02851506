"""What a DICOM header says of its image: patient, sex, age, view, date and place. No name is ever read."""

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
from cxrlens.data.unreadable import MAX_BYTES, UnreadableImage, heard
from cxrlens.names import path_of

DATES = ("StudyDate", "SeriesDate", "AcquisitionDate", "ContentDate")
TAGS = (
    "SpecificCharacterSet", "Modality", "SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "AccessionNumber",
    "PatientID", "IssuerOfPatientID", "PatientSex", "PatientAge", "PatientBirthDate", *DATES, "Rows",
    "InstitutionName", "StationName", "Manufacturer", "ManufacturerModelName", *VIEW_TAGS,
)  # fmt: skip
"""All that is read of a header; no name, address or telephone number."""

LONGEST = 2**20  # bytes of one element; what is read here takes at most a few kilobytes


@dataclass(frozen=True)
class Header:
    """One file's header, as far as it is read.

    Attributes:
        patient_id: as written; "" where it is absent.
        issuer: of the patient's id; "" where it is not stated.
        sex: M, F or None.
        age: in years; NaN where it is not stated and cannot be told from two dates.
        birth: date of birth; never written anywhere.
        date: of the study, else of the series or the image.
        study: Study Instance UID.
        instance: SOP Instance UID.
        accession: number of the order.
        site: the institution.
        device: manufacturer and model, else the station.
        view: what `examine_view` says.
        refused: why the file is no frontal chest radiograph; None where nothing says so.
        ages_differ: whether the stated age and the dates disagree by more than a year and a half.
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
        """Issuer and id, without what people type differently."""
        return " ".join(self.issuer.split()).casefold(), " ".join(self.patient_id.split()).casefold()


def read_headers(data_dir: Path, paths: Iterable[str]) -> dict[str, Header | str]:
    """The headers of the DICOM files among some files; the pixels are not read.

    Args:
        data_dir: the data folder.
        paths: relative to it.

    Returns:
        Path → header, or why it cannot be read. Files that are no DICOM are not among them.
    """
    listed = list(paths)
    with heard([]), ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:  # the reader of the pixels tells warnings
        found = list(pool.map(lambda path: _read(path_of(path, data_dir)), listed))
    return {path: header for path, header in zip(listed, found, strict=True) if header is not None}


class _Bounded:
    """A file from which no element of more than `LONGEST` bytes is read."""

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
    except Exception as error:  # whatever a parser raises on a damaged file
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
    taken = next((day for name in DATES if (day := _date(_text(header, name)))), None)
    age = age_in_years(_text(header, "PatientAge"))
    by_dates = (taken - birth).days / 365.25 if taken and birth else math.nan
    by_dates = by_dates if 0 <= by_dates <= 120 else math.nan
    model = f"{_text(header, 'Manufacturer')} {_text(header, 'ManufacturerModelName')}".strip()
    return Header(
        patient_id=_text(header, "PatientID"),
        issuer=_text(header, "IssuerOfPatientID"),
        sex=sex_letter(_text(header, "PatientSex")),
        age=by_dates if math.isnan(age) else age,
        birth=birth,
        date=taken,
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


def reasons(headers: Mapping[str, Header | str]) -> Counter[str]:
    """Why headers are not of a frontal chest radiograph → how many there are."""
    return Counter(
        header.refused.split(";")[0] for header in headers.values() if isinstance(header, Header) and header.refused
    )
