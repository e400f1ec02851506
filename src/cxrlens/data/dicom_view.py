"""Whether a DICOM header describes a frontal radiograph of a chest: view, patient orientation and body part.

Sources: DICOM PS3.3 C.8.7.1 and C.8.11.5 (View Position, View Code Sequence), C.7.6.1.1.1 (Patient Orientation),
PS3.16 CID 4009 to 4011 (the codes, from pydicom's dictionary) and Annex L (the terms of Body Part Examined). Only
whole words are compared: "LATERALITY" and "PLATE" are not lateral views. View codes and View Position describe this
image and come first; the patient orientation comes second; descriptions of the series or the study come last, because
they may name all views taken.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from pydicom import Dataset
from pydicom.multival import MultiValue

SERIES_TEXTS = ("BodyPartExamined", "AcquisitionDeviceProcessingDescription", "SeriesDescription", "ProtocolName")
STUDY_TEXTS = ("PerformedProcedureStepDescription", "RequestedProcedureDescription", "StudyDescription")
VIEW_TAGS = (
    "ViewPosition", "ViewCodeSequence", "PatientOrientation", "AnatomicRegionSequence",
    *SERIES_TEXTS, *STUDY_TEXTS,
)  # fmt: skip
"""The elements that `examine_view` reads."""


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


LATERAL = _set(
    "LAT LATERAL LATERALS LATERALE LATERALES LATERAAL LATERALIS LATERO LLAT RLAT LTLAT RTLAT LATLT LATRT LATL "
    "LATR SEITLICH SEITL PROFIL PERFIL SAGITTAL MEDIOLATERAL LATEROMEDIAL"
)
LATERAL_SIGNS = ("側面", "側位", "侧面", "侧位", "측면", "БОКОВ")
"""Lateral views in languages without spaces or with many word endings; matched anywhere in a text."""
LATERAL_CODES = _set("LL RL ML LM")
"""Lateral views in View Position; in other elements these letters may mean something else."""
OBLIQUE = _set("OBL OBLIQUE OBLIQUES OBLIQUA OBLICUA OBLIK SCHRAG LAO RAO LPO RPO LLO RLO MLO LMO")
LYING = _set("LLD RLD")
TILTED = _set("AXIAL LORDOTIC LORDOTICA APICAL APEX")
CROSS_TABLE = _set("XTABLE CROSSTABLE XTAB")
FRONTAL = _set("FRONTAL FRONT FRENTE FACE")
FRONTAL_SIGNS = ("正面", "正位", "정면", "ПРЯМ")

_RUN = r"(?:CHEST|THORAX|CXR|PA|AP|LATERAL|LAT|OBLIQUE|OBL)"
"""Words that headers write without a space between them, as in CHESTPA."""

CHEST = ("CHEST", "CXR", "THORA", "LUNG", "TORAX", "TORAC", "PULMO")
UNCLEAR_PARTS = _set(
    "RIB RIBS STERNUM CLAVICLE HEART MEDIASTINUM TRACHEA BRONCHUS ESOPHAGUS WHOLEBODY BODY TRUNK TORSO"
)
OTHER_PARTS = _set(
    "ABDOMEN ABDOMENPELVIS ADRENAL ANKLE ARM BLADDER BRAIN BREAST BUTTOCK CALCANEUS CALF CAROTID CERVIX COCCYX "
    "COLON CSPINE EAR ELBOW EXTREMITY EYE FACE FEMUR FINGER FINGERS FOOT FEET FOREARM GALLBLADDER HAND HANDS HEAD "
    "HEADNECK HEEL HIP HIPS HUMERUS IAC ILIUM JAW KIDNEY KNEE KNEES KUB LARYNX LEG LEGS LIVER LSPINE LSSPINE "
    "MANDIBLE MAXILLA MOUTH NECK NOSE ORBIT ORBITS PANCREAS PATELLA PELVIS PROSTATE RADIUS RADIUSULNA SACRUM "
    "SCALP SCAPULA SHOULDER SHOULDERS SINUS SINUSES SKULL SPINE SPLEEN SSPINE STOMACH TEETH THIGH THUMB TIBIA "
    "TIBIAFIBULA TLSPINE TMJ TOE TOES TOOTH TSPINE ULNA UTERUS WRIST WRISTS ZYGOMA"
)
SPINE = _set("SPINE TSPINE CTSPINE TLSPINE THORACOLUMBAR CERVICOTHORACIC")
CHEST_CODES = _set(  # of CID 4009; FORMER_CHEST is the code that the standard had before 816094009
    "Chest ApexOfLung NeckAndChest ChestAndAbdomen NeckChestAndAbdomen ChestAbdomenAndPelvis NeckChestAbdomenAndPelvis"
)
UNCLEAR_CODES = _set("Rib Sternum Clavicle Heart Mediastinum Trachea Bronchus Esophagus EntireBody Phantom")
FORMER_CHEST = "51185008"


@dataclass(frozen=True)
class View:
    """The view that a header states.

    Attributes:
        name: name of the view, such as "PA", "AP", "AP decubitus" or "frontal"; None where the header states none.
        refused: why the image is not a frontal chest radiograph; None where it may be one.
        warnings: phrases on what is unclear; the image is taken as a frontal one.
    """

    name: str | None = None
    refused: str | None = None
    warnings: tuple[str, ...] = ()


def examine_view(header: Dataset) -> View:
    """Determines the view and checks the body part by the header alone."""
    body_refused, warnings = _body_part(header)
    if body_refused:
        return View(refused=body_refused)
    stated = [*_codes(header), *((text, _meaning(text, own=True)) for text in _texts(header, "ViewPosition"))]
    side = next((text for text, meaning in stated if meaning.side), None)
    if side is not None:
        return View(refused=f"a lateral or oblique view ({side.upper()[:40]}); a frontal one is needed")
    own = [meaning for _, meaning in stated]
    decided = next((meaning for meaning in own if meaning.frontal and not meaning.lateral), None)
    orientation = _orientation(header)
    series = [(field, _meaning(text)) for field in SERIES_TEXTS for text in _texts(header, field)]
    study = [(field, _meaning(text)) for field in STUDY_TEXTS for text in _texts(header, field)]
    if decided is not None:
        contradicting = [field for field, meaning in series if meaning.side]
        if orientation == "side":
            contradicting.append("PatientOrientation")
        if contradicting:
            warnings.append(
                f"the header contradicts itself: {decided.name} as the view, a side view in {contradicting[0]}"
            )
        return _as_frontal(decided, [*own, *(meaning for _, meaning in series)], warnings)
    if orientation == "side":
        text = "\\".join(_texts(header, "PatientOrientation"))
        return View(refused=f"a lateral view (PatientOrientation {text[:20]}); a frontal one is needed")
    both = False  # whether a description names a frontal and a lateral view, as that of a whole study may
    for field, meaning in (*series, *study):
        if meaning.side and not both:
            return View(refused=f"a lateral or oblique view ({field} says {meaning.word}); a frontal one is needed")
        if meaning.frontal and not meaning.lateral and not meaning.oblique and not both:
            return _as_frontal(meaning, [*own, meaning], warnings)
        both = both or meaning.lateral or meaning.oblique
    if (both or any(meaning.lateral for meaning in own)) and orientation != "front":
        warnings.append("unclear view: the header names a frontal and a side view")
    else:
        unknown = next((text for text, meaning in stated if not meaning.states_view), None)
        if unknown is not None:
            warnings.append(f"unclear view ({unknown.upper()[:40]}), taken as frontal")
    described = [meaning for _, meaning in (*series, *study)]
    return _as_frontal(None, [*own, *described], warnings)


@dataclass(frozen=True)
class _Meaning:
    """The meaning of the words of one element."""

    name: str | None = None  # PA, AP or frontal
    lateral: bool = False
    oblique: bool = False
    unclear: str = ""  # decubitus, axial or lordotic, cross-table, LL
    word: str = ""  # the word for lateral or oblique
    own: bool = False  # whether the element describes this image, not a series

    @property
    def frontal(self) -> bool:
        return self.name is not None

    @property
    def states_view(self) -> bool:
        """Whether the words state a view."""
        return self.frontal or self.lateral or self.oblique or bool(self.unclear)

    @property
    def side(self) -> bool:
        """Whether the view is certainly not frontal."""
        if self.oblique and (self.own or not self.frontal):
            return True  # "PA oblique" of one image is an oblique view; in a description it may mean two images
        return self.lateral and not self.frontal


def _as_frontal(decided: _Meaning | None, meanings: Iterable[_Meaning], warnings: list[str]) -> View:
    """The view of an image that is taken as a frontal one."""
    unclear = [meaning.unclear for meaning in meanings if meaning.unclear]
    if unclear:
        warnings.append(f"unclear view ({unclear[0]}), taken as frontal")
    name = decided.name if decided else None
    kind = decided.unclear if decided and decided.unclear in ("decubitus", "axial or lordotic") else ""
    return View(f"{name} {kind}".strip() if name else None, None, tuple(warnings))


def _meaning(text: str, own: bool = False) -> _Meaning:
    words = _words(text)
    joined = f" {' '.join(words)} "
    side_words = LATERAL | LATERAL_CODES if own else LATERAL
    lateral = next((word for word in words if word in side_words), "")
    lateral = lateral or next((sign for sign in LATERAL_SIGNS if sign in text.upper()), "")
    oblique = next((word for word in words if word in OBLIQUE), "")
    unclear = ""
    lying = any(word.startswith("DECUB") or word in LYING for word in words)
    if lying and not {"DORSAL", "VENTRAL"} & set(words):
        lateral, unclear = "", "decubitus"  # lying on the side; the beam still goes from front to back
    elif TILTED & set(words):
        unclear = "axial or lordotic"
    elif CROSS_TABLE & set(words) or " CROSS TABLE " in joined or " X TABLE " in joined:
        unclear = "cross-table"
    elif not own and LATERAL_CODES & set(words):
        unclear = next(word for word in words if word in LATERAL_CODES)
    name = _front(words, joined) or ("frontal" if any(sign in text.upper() for sign in FRONTAL_SIGNS) else None)
    if name is None and not lateral and not oblique and (unclear == "decubitus" or (own and TILTED & set(words))):
        name = "frontal"
    return _Meaning(name, bool(lateral), bool(oblique), unclear, lateral or oblique, own)


def _front(words: list[str], joined: str) -> str | None:
    if "PA" in words or re.search(r" (POSTERO ?ANTERIOR|POSTERIOR ANTERIOR|DORSO ?VENTRAL) ", joined):
        return "PA"
    if "AP" in words or re.search(r" (ANTERO ?POSTERIOR|ANTERIOR POSTERIOR|VENTRO ?DORSAL) ", joined):
        return "AP"
    return "frontal" if FRONTAL & set(words) else None


def _words(text: str) -> list[str]:
    """The words of a text in capitals, without accents; "P.A." and "a-p" are joined, "ThoraxLat" is split.

    >>> _words("W Chest Lat."), _words("Thorax p.a."), _words("ChestLAT_1"), _words("bi-lateral")
    (['W', 'CHEST', 'LAT'], ['THORAX', 'PA'], ['CHEST', 'LAT'], ['BILATERAL'])
    >>> _words("CHESTPA"), _words("APLAT"), _words("PLATE")
    (['CHEST', 'PA'], ['AP', 'LAT'], ['PLATE'])
    """
    plain = "".join(char for char in unicodedata.normalize("NFKD", text) if not unicodedata.combining(char))
    plain = re.sub(r"(?<=[a-z]{2})(?=[A-Z])", " ", plain).upper()
    plain = re.sub(r"\b(BI|UNI|CONTRA|IPSI)[-_ ](?=LATERAL)", r"\1", plain)
    plain = re.sub(r"(?<![A-Z])(P)[^A-Z0-9]{1,2}(A)(?![A-Z])|(?<![A-Z])(A)[^A-Z0-9]{1,2}(P)(?![A-Z])", _pair, plain)
    words = re.findall(r"[A-Z]+", plain)
    return [part for word in words for part in (re.findall(_RUN, word) if re.fullmatch(f"{_RUN}+", word) else [word])]


def _pair(match: re.Match[str]) -> str:
    return "".join(group for group in match.groups() if group)


def _texts(header: Dataset, keyword: str) -> list[str]:
    value = header.get(keyword)
    values = value if isinstance(value, MultiValue | list | tuple) else [value]
    return [text for item in values if item is not None and (text := str(item).strip())]


def _codes(header: Dataset) -> list[tuple[str, _Meaning]]:
    """The text and the meaning of each view code and of its modifiers."""
    result: list[tuple[str, _Meaning]] = []
    for item in _items(header, "ViewCodeSequence"):
        text, value = (str(item.get(name) or "").strip() for name in ("CodeMeaning", "CodeValue"))
        concept = _FORMER.get(value) or _concept(4010, value)
        if not concept and not text and value:
            result.append((value, _Meaning(unclear=f"code {value[:16]}", own=True)))
        if concept:
            result.append((text or concept, _CODED.get(concept, _Meaning(lateral=True, word=text, own=True))))
        if text:
            result.append((text, _meaning(text, own=True)))
        for modifier in _items(item, "ViewModifierCodeSequence"):
            text = str(modifier.get("CodeMeaning") or "").strip()
            if _concept(4011, str(modifier.get("CodeValue") or "").strip()) == "Crosstable":
                text = "cross-table"
            result.append((text, _meaning(text, own=True)))
    return result


_CODED = {
    "PosteroAnterior": _Meaning("PA", own=True),
    "AnteroPosterior": _Meaning("AP", own=True),
    "Frontal": _Meaning("frontal", own=True),
    "AxialProjection": _Meaning("frontal", unclear="axial or lordotic", own=True),
}
"""The codes of CID 4010 that may be a frontal chest view; all others are other projections."""
_FORMER = {"R-10214": "PosteroAnterior"}  # in files of early DX equipment; pydicom maps only R-40888


def _items(header: Dataset, keyword: str) -> list[Dataset]:
    return [item for item in header.get(keyword) or [] if isinstance(item, Dataset)]


@lru_cache(maxsize=256)
def _concept(group: int, value: str) -> str | None:
    """The keyword of a code in a context group of the standard, by its current or its former SNOMED-RT code."""
    from pydicom.sr.codedict import codes  # slow: half a second
    from pydicom.sr.coding import Code

    if not value:
        return None
    concepts = getattr(codes, f"cid{group}")
    written = [Code(value, scheme, "") for scheme in ("SCT", "SRT", "DCM")]
    return next((name for name in concepts.dir() if any(code == getattr(concepts, name) for code in written)), None)


def _orientation(header: Dataset) -> str | None:
    """Whether the rows run from side to side of the patient ("front") or from front to back ("side")."""
    texts = _texts(header, "PatientOrientation")
    if len(texts) != 2:
        return None
    rows, columns = (text.upper() for text in texts)
    if columns[:1] not in ("F", "H"):
        return None  # lying or turned: the rows alone do not decide
    return {"A": "side", "P": "side", "L": "front", "R": "front"}.get(rows[:1])


def _body_part(header: Dataset) -> tuple[str | None, list[str]]:
    """Why the body part is not a chest (None where it may be), and warnings on what is unclear."""
    stated = " ".join(_texts(header, "BodyPartExamined"))
    regions = _items(header, "AnatomicRegionSequence")
    texts = [text for field in (*SERIES_TEXTS[1:], *STUDY_TEXTS) for text in _texts(header, field)]
    described = {kind for text in texts if (kind := _part(re.sub(r"(?i)\bface\b", "", text)))}  # French: frontal
    kind = _part(stated)
    if kind is None and not stated:
        kinds = {_region(item) for item in regions} - {None}
        kind = "chest" if "chest" in kinds else next(iter(sorted(kinds, key=str)), None)
        stated = ", ".join(str(item.get("CodeMeaning") or item.get("CodeValue") or "") for item in regions)
    if kind == "other":
        if "chest" in described:
            return None, [f"the header contradicts itself: body part {stated[:40]}, a chest in its descriptions"]
        return f"another body part ({stated[:40]}); a chest is needed", []
    if kind == "unclear" or (kind is None and stated):
        return None, [f"unclear body part ({stated[:40]}), taken as a chest"]
    if kind is None and "other" in described and "chest" not in described:
        return None, ["unclear body part: a description names another one; taken as a chest"]
    return None, []


def _region(item: Dataset) -> str | None:
    value = str(item.get("CodeValue") or "").strip()
    concept = _concept(4009, value)
    if value in (FORMER_CHEST, "T-D3000") or concept in CHEST_CODES:
        return "chest"
    if concept is None:
        return _part(str(item.get("CodeMeaning") or "")) or ("unclear" if value else None)
    return "unclear" if concept in UNCLEAR_CODES else "other"


def _part(text: str) -> str | None:
    """The kind of body part that a text names: "chest", "other" or "unclear"; None where it names none.

    >>> [_part(text) for text in ("CHEST", "Thorax ap", "T-Spine", "LEFT HAND", "RIBS", "PORTABLE", "")]
    ['chest', 'chest', 'other', 'other', 'unclear', None, None]
    """
    words = set(_words(text))
    if SPINE & words:
        return "other"
    if any(part in word for word in words for part in CHEST):
        return "chest"
    if OTHER_PARTS & words:
        return "other"
    return "unclear" if UNCLEAR_PARTS & words else None
