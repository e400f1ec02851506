"""What of a run may leave: a reading without its images, without its notes, or with every name replaced.

None of it makes a page anonymous: dates, places, ages and findings stay, and so does what is burnt into an image.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import numpy as np
import pandas as pd
import tomlkit
from tomlkit.exceptions import TOMLKitError

from cxrlens.data.cohort import COLUMNS
from cxrlens.report.reading import Gallery, Reading
from cxrlens.report.renaming import Names

# Named where they may stay, not where they may not: a figure that is added later stays at home until it is looked at.
WITHOUT_XRAYS = frozenset(
    {"auc", "roc", "precision_recall", "calibration", "training", "figure2", "spectrum", "audit", "reuse"}
)
WITHOUT_NAMES = WITHOUT_XRAYS | {"figure3", "audit_evidence"}  # Figure 1 has file names below its images
FACTS = (
    "width", "height", "bytes", "mode", "format", "bits", "depth", "depth_alone", "sha256", "steps", "missing", "side",
    "fold", "patient_known",
)  # fmt: skip


def images_shown(reading: Reading) -> list[str]:
    """The images that a page of this reading may show: the gallery's, and any, where a figure with X-rays is there."""
    if reading.pictures.keys() - WITHOUT_XRAYS:
        readable = reading.cohort["missing"].isna() if "missing" in reading.cohort else slice(None)
        return reading.cohort.loc[readable, "image"].tolist()
    return list(reading.gallery.images) if reading.gallery else []


def without_salt(study: str) -> str:
    r"""A study file's text without the secret of its patient ids, which stays in the run's folder.

    >>> without_salt('[data]\nsalt = "abc"\n')
    '[data]\nsalt = "kept in the folder of the run"\n'
    """
    try:
        tables = tomlkit.parse(study)
    except TOMLKitError:
        return study
    data = tables.get("data")
    salt = data.get("salt") if isinstance(data, dict) else None
    if not isinstance(salt, str) or not salt or salt.startswith("env:"):
        return study
    tables["data"]["salt"] = "kept in the folder of the run"
    return tomlkit.dumps(tables)


def without_images(reading: Reading) -> Reading:
    """Without the gallery and every figure that shows X-rays. Pictures that a network made stay: they show nobody."""
    return replace(reading, gallery=None, pictures=_kept(reading, WITHOUT_XRAYS))


def without_notes(reading: Reading) -> Reading:
    """Without the notes, and without the columns that are not the cohort's own: notes may stand in any of them."""
    table = _own_columns(reading.cohort)
    if "notes" in table:
        table = table.assign(notes=np.nan)
    return replace(reading, cohort=table)


def renamed(reading: Reading) -> Reading:
    """Patients are "patient 1", "patient 2"..., images "image 1"..., in the order of `cohort.csv`, everywhere.

    Whoever has the run's folder can so find them again. A file's hash names the file, so hashes go; so do figures that
    print names, columns that are not the cohort's own, and the paths on the machine of the run. See `Names` on names
    within sentences.
    """
    names = Names.of(*_named(reading))
    environment = {name: told for name, told in reading.environment.items() if name not in ("command", "data", "near")}
    table = _own_columns(reading.cohort).drop(columns="sha256", errors="ignore")
    gallery = reading.gallery
    return replace(
        reading,
        results=names.plain(reading.results),
        environment=names.plain(environment),
        study=names.text(reading.study),
        cohort=names.table(table),
        predictions=names.table(reading.predictions),
        explained=names.plain(reading.explained),
        audited=names.plain(reading.audited),
        elsewhere=names.plain(reading.elsewhere),
        pictures=_kept(reading, WITHOUT_NAMES),
        gallery=gallery and _renamed_gallery(gallery, names),
    )


def _named(reading: Reading) -> tuple[list[str], list[str]]:
    tables = (reading.cohort, reading.predictions)
    images = [*(image for table in tables for image in table["image"])]
    images += reading.gallery.images if reading.gallery else ()
    patients = [patient for table in tables for patient in table["patient"]]
    return list(dict.fromkeys(images)), list(dict.fromkeys(each for each in patients if isinstance(each, str)))


def _renamed_gallery(gallery: Gallery, names: Names) -> Gallery:
    return replace(
        gallery,
        images=tuple(names.images[image] for image in gallery.images),
        maps={names.text(model): maps for model, maps in gallery.maps.items()},
        margins={names.text(model): margins for model, margins in gallery.margins.items()},
        thresholds={names.text(model): threshold for model, threshold in gallery.thresholds.items()},
        missing={
            names.text(model): {method: names.text(why) for method, why in reasons.items()}
            for model, reasons in gallery.missing.items()
        },
    )


def _own_columns(table: pd.DataFrame) -> pd.DataFrame:
    return table[[name for name in table if name in (*COLUMNS, *FACTS)]]


def _kept(reading: Reading, figures: Collection[str]) -> dict[str, bytes]:
    return {name: picture for name, picture in reading.pictures.items() if name in figures}
