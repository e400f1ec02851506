"""The terms under which an image may be shared, for the licences that cxrlens knows."""

from __future__ import annotations

import re
from dataclasses import dataclass

from cxrlens.report.redact import images_shown
from cxrlens.report.report_data import ReportData
from cxrlens.text import many

NAMED, ALIKE = "with credit to the author", "under the same licence"
NON_COMMERCIAL = "not for commercial use"
CHANGED = "allows no modified versions, and the page shows resized images with maps over them"

# The complete text of a licence in lower case, without punctuation → whether a page that shows the image may be shared,
# and how. The whole text must match: words around a known licence may restrict what the licence allows.
VERSION = r"(?: [1-4] [05])?(?: (?:international|unported|generic|igo))?(?: license)?"
CC = r"(?:cc|creative commons|https? (?:www )?creativecommons org licenses)"
CC0 = r"(?:cc ?0|cc zero|https? creativecommons org publicdomain zero)"
LICENCES: tuple[tuple[str, bool, str], ...] = (
    (rf"{CC0}{VERSION}(?: universal)?(?: synthetic)?", True, ""),
    (r"public domain|pddl|unlicense|https? creativecommons org publicdomain mark 1 0", True, ""),
    (rf"{CC} by{VERSION}", True, NAMED),
    (rf"{CC} by sa{VERSION}", True, f"{NAMED}, {ALIKE}"),
    (rf"{CC} by nc{VERSION}", True, f"{NON_COMMERCIAL}, {NAMED}"),
    (rf"{CC} by nc sa{VERSION}", True, f"{NON_COMMERCIAL}, {NAMED}, {ALIKE}"),
    (rf"{CC} by(?: nc)? nd{VERSION}", False, CHANGED),
    (r"apache(?: license)?(?: v| version)? 2 0|mit(?: license)?|bsd(?: [234] clause)?(?: license)?", True, NAMED),
)  # fmt: skip
LONG = {
    "attribution": "by", "non commercial": "nc", "noncommercial": "nc", "share alike": "sa", "sharealike": "sa",
    "no derivatives": "nd", "noderivatives": "nd", "noderivs": "nd", "licence": "license",
}  # fmt: skip


@dataclass(frozen=True)
class Terms:
    """Whether a licence allows sharing a page that shows the image, and under which conditions, or why not."""

    allowed: bool
    how: str


@dataclass(frozen=True)
class Licensed:
    """The images of one licence, as written in the cohort table ("" if none is stated), and its terms."""

    licence: str
    terms: Terms
    images: tuple[str, ...]


def terms(licence: str | None) -> Terms:
    """The terms of a licence as written in a table. An unknown licence allows nothing.

    >>> terms("CC BY-NC-SA 4.0")
    Terms(allowed=True, how='not for commercial use, with credit to the author, under the same licence')
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
    return Terms(False, "cxrlens does not know this licence")


def licences_shown(report: ReportData) -> list[Licensed]:
    """The licences of the images that the page may show, sorted by number of images."""
    stated = dict(zip(report.cohort["image"], report.cohort["license"], strict=True))
    images_by_licence: dict[str, list[str]] = {}
    for image in images_shown(report):
        cell = stated.get(image)
        images_by_licence.setdefault(cell.strip() if isinstance(cell, str) else "", []).append(image)
    licences = [Licensed(licence, terms(licence), tuple(images)) for licence, images in images_by_licence.items()]
    return sorted(licences, key=lambda licence: (-len(licence.images), licence.licence))


def may_not_be_redistributed(report: ReportData) -> list[str]:
    """The images that the page may show although their licence is not known to allow sharing them."""
    refused = {image for group in licences_shown(report) if not group.terms.allowed for image in group.images}
    return [image for image in images_shown(report) if image in refused]


def licence_sentences(report: ReportData) -> tuple[list[str], list[str]]:
    """What to know before the page is shared: warnings about licences, and the conditions of those that allow it.

    Returns:
        Warnings and conditions, as sentences; both are empty if the page shows no image.
    """
    licences = licences_shown(report)
    refused = [group for group in licences if not group.terms.allowed]
    total, count = (sum(len(group.images) for group in groups) for groups in (licences, refused))
    warnings = []
    if refused:
        reasons = "; ".join(f"{len(group.images)} {_quoted(group)} ({group.terms.how})" for group in refused)
        warnings.append(
            f"{count} of the {total} images that this page may show have no licence that is known to allow sharing: "
            f"{reasons}. --no-images leaves out all images"
        )
    conditions = [
        f"terms of {group.licence}, {many(len(group.images), 'image')}: {group.terms.how}"
        for group in licences
        if group.terms.allowed and group.terms.how
    ]
    return warnings, conditions


def _quoted(group: Licensed) -> str:
    return f"“{group.licence}”" if group.licence else "without a licence"
