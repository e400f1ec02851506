"""The data sets that can be fetched, each with the project's own manifest of what it must be."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources

from cxrlens.errors import UserError, near_miss


@dataclass(frozen=True)
class Published:
    """A data set that can be fetched.

    Attributes:
        commit: the version that the manifest describes.
        base_url: where the manifest's paths are found.
        note: what a user must know, such as the licence.
    """

    commit: str
    base_url: str
    note: str


_COVID_COMMIT = "099c10079dfa45d10e0e742df659387c0d71f2ab"
PUBLISHED: Mapping[str, Published] = {
    "covid-chestxray": Published(
        _COVID_COMMIT,
        f"https://raw.githubusercontent.com/ieee8023/covid-chestxray-dataset/{_COVID_COMMIT}/",
        "Each image has its own licence (column license of metadata.csv); some allow no commercial use.",
    )
}


def published(name: str) -> Published:
    """The data set called `name`, or `UserError` with the nearest name."""
    if name not in PUBLISHED:
        raise UserError(near_miss("data set", name, PUBLISHED))
    return PUBLISHED[name]


def manifest(name: str) -> dict[str, str]:
    """Path below the data folder → git blob SHA-1, for every file of a data set."""
    published(name)
    file = resources.files("cxrlens.data") / "manifests" / f"{name}.csv"
    with file.open(encoding="utf-8") as lines:
        return {row["path"]: row["git_blob_sha1"] for row in csv.DictReader(lines)}
