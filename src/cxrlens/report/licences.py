"""Under which terms an image may be passed on, as far as its licence is one that is known here."""

from __future__ import annotations

import re
from dataclasses import dataclass

from cxrlens.report.redact import images_shown
from cxrlens.report.report_data import ReportData

NAMED, ALIKE = "with its author named", "under the same licence"
NOT_SOLD = "not for commercial use"
CHANGED = "may not be passed on changed, and a page shows images resized, with maps over them"

# A licence's words, in small letters and without signs, as a whole → whether a page that shows the image may be passed
# on, and how. Whatever is not here is not known: a phrase around a licence may take away what the licence gives.
VERSION = r"(?: [1-4] [05])?(?: (?:international|unported|generic|igo))?(?: license)?"
CC = r"(?:cc|creative commons|https? (?:www )?creativecommons org licenses)"
CC0 = r"(?:cc ?0|cc zero|https? creativecommons org publicdomain zero)"
LICENCES: tuple[tuple[str, bool, str], ...] = (
    (rf"{CC0}{VERSION}(?: universal)?(?: synthetic)?", True, ""),
    (r"public domain|pddl|unlicense|https? creativecommons org publicdomain mark 1 0", True, ""),
    (rf"{CC} by{VERSION}", True, NAMED),
    (rf"{CC} by sa{VERSION}", True, f"{NAMED}, {ALIKE}"),
    (rf"{CC} by nc{VERSION}", True, f"{NOT_SOLD}, {NAMED}"),
    (rf"{CC} by nc sa{VERSION}", True, f"{NOT_SOLD}, {NAMED}, {ALIKE}"),
    (rf"{CC} by(?: nc)? nd{VERSION}", False, CHANGED),
    (r"apache(?: license)?(?: v| version)? 2 0|mit(?: license)?|bsd(?: [234] clause)?(?: license)?", True, NAMED),
)  # fmt: skip
LONG = {
    "attribution": "by", "non commercial": "nc", "noncommercial": "nc", "share alike": "sa", "sharealike": "sa",
    "no derivatives": "nd", "noderivatives": "nd", "noderivs": "nd", "licence": "license",
}  # fmt: skip


@dataclass(frozen=True)
class Terms:
    """What a licence lets one do with a page that shows the image: whether to pass it on, and how, or why not."""

    allowed: bool
    how: str


@dataclass(frozen=True)
class Licensed:
    """Images of one licence, as the cohort's table words it ("" where it states none), and its terms."""

    licence: str
    terms: Terms
    images: tuple[str, ...]


def terms(licence: str | None) -> Terms:
    """The terms of a licence as a table words it; one that is not known allows nothing.

    >>> terms("CC BY-NC-SA 4.0")
    Terms(allowed=True, how='not for commercial use, with its author named, under the same licence')
    >>> terms("CC BY, but ask first").allowed, terms(None).how
    (False, 'no licence is stated')
    """
    words = " ".join(re.findall(r"[a-z]+0?|\d", (licence or "").lower()))
    for long, short in LONG.items():
        words = words.replace(long, short)
    if not words:
        return Terms(False, "no licence is stated")
    for pattern, allowed, how in LICENCES:
        if re.fullmatch(pattern, words):
            return Terms(allowed, how)
    return Terms(False, "a licence that is not known here")


def licences_shown(reading: ReportData) -> list[Licensed]:
    """The licences of the images that a page of this reading may show, those of most images first."""
    stated = dict(zip(reading.cohort["image"], reading.cohort["license"], strict=True))
    of: dict[str, list[str]] = {}
    for image in images_shown(reading):
        cell = stated.get(image)
        of.setdefault(cell.strip() if isinstance(cell, str) else "", []).append(image)
    found = [Licensed(licence, terms(licence), tuple(images)) for licence, images in of.items()]
    return sorted(found, key=lambda each: (-len(each.images), each.licence))


def may_not_be_redistributed(reading: ReportData) -> list[str]:
    """The images that a page of this reading may show and whose licence is not known to allow passing them on."""
    refused = {image for each in licences_shown(reading) if not each.terms.allowed for image in each.images}
    return [image for image in images_shown(reading) if image in refused]


def licence_sentences(reading: ReportData) -> tuple[list[str], list[str]]:
    """What to tell before the page goes to others: what speaks against it, and the terms of what may go.

    Returns:
        Warnings and conditions, sentences each; none where no image is shown.
    """
    found = licences_shown(reading)
    refused = [each for each in found if not each.terms.allowed]
    total, count = (sum(len(each.images) for each in some) for some in (found, refused))
    warnings = []
    if refused:
        told = "; ".join(f"{len(e.images)} {_called(e)} ({e.terms.how})" for e in refused)
        warnings.append(
            f"{count} of the {total} images that this page may show are not known to be free to pass on: {told}. "
            "--no-images leaves all images out"
        )
    bound = [each for each in found if each.terms.allowed and each.terms.how]
    return warnings, [
        f"terms of {e.licence}, {len(e.images)} {'image' if len(e.images) == 1 else 'images'}: {e.terms.how}"
        for e in bound
    ]


def _called(each: Licensed) -> str:
    return f"“{each.licence}”" if each.licence else "without a licence"
