"""Images that two sets share."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image
from scipy import ndimage

from cxrlens.data.cache import ImageCache, build_cache
from cxrlens.data.duplicates import find_overlap, near_across, near_pairs
from cxrlens.data.sources.csv_table import CsvTable
from cxrlens.data.sources.phantom import Phantom


def test_pairs_across_are_those_of_the_whole_that_cross() -> None:
    rng = np.random.default_rng(0)
    bits = np.where(rng.random((40, 64)) < 0.5, 1, -1).astype(np.float32)
    others = bits[rng.integers(40, size=30)] * np.where(rng.random((30, 64)) < 0.15, -1, 1).astype(np.float32)
    first, second, total = near_across(bits, others)
    one, other, _ = near_pairs(np.concatenate([bits, others]))
    crossing = (one < 40) & (other >= 40)
    pairs = set(zip(first.tolist(), second.tolist(), strict=True))
    assert pairs == set(zip(one[crossing].tolist(), (other[crossing] - 40).tolist(), strict=True))
    assert len(pairs) == total > 10
    distance = (64 - (bits @ others.T)) / 2
    nearest, beside, whole = near_across(bits, others, most=5)
    assert whole == total and len(nearest) == 5
    assert distance[nearest, beside].max() <= np.sort(distance[distance <= 12])[4]


def decoded(folder: Path) -> ImageCache:
    return build_cache(CsvTable(table="cohort.csv", images="images").cohort(folder), 128, "bilinear")


def test_a_copy_saved_anew_is_found_in_the_other_set(tmp_path: Path) -> None:
    for seed, name in ((1, "one"), (2, "other")):
        for _ in Phantom(patients=6, size=128, images_per_patient=(1, 1), seed=seed).export(tmp_path / name):
            pass
    known = np.asarray(Image.open(tmp_path / "one" / "images" / "phantom-0004-1.png"))
    darker = ndimage.zoom(known[4:124, 3:125].astype(float), 1.5, order=1) * 0.8
    Image.fromarray(darker.clip(0, 255).astype(np.uint8)).save(tmp_path / "other" / "images" / "copy.png")
    table = pd.read_csv(tmp_path / "other" / "cohort.csv")
    copy = table.iloc[:1].assign(image="copy.png", patient="another")
    pd.concat([table, copy]).to_csv(tmp_path / "other" / "cohort.csv", index=False)
    overlap = find_overlap(decoded(tmp_path / "one"), decoded(tmp_path / "other"))
    assert overlap.pairs == (("phantom-0004-1.png", "copy.png"),) and overlap.compared == overlap.shortlisted
    assert find_overlap(decoded(tmp_path / "other"), decoded(tmp_path / "one")).pairs == (overlap.pairs[0][::-1],)
