"""Labelled sets for pretraining: which findings they speak of, what they don't know, and who is held out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from cxrlens.data.cache import build_cache
from cxrlens.data.finding_sets import FindingSet, JoinedCache, in_validation
from cxrlens.errors import UserError

TABLE = "file,who,effusion,mass,label,seen\na.png,p1,1,,1,yes\nb.png,p1,0,1,0,no\nc_virus.png,p2,,0,1,\n"
SET = {"name": "mine", "source": "csv_table", "table": "t.csv", "image": "file", "patient": "who"}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "t.csv").write_text(TABLE)
    for place, name in enumerate(("a.png", "b.png", "c_virus.png")):
        Image.fromarray(np.arange(4096, dtype=np.uint8).reshape(64, 64) + np.uint8(place)).save(tmp_path / "set" / name)
    return tmp_path


def labels(root: Path, **options: object) -> pd.DataFrame:
    chosen = FindingSet.of({**SET, "folder": "set", **options}, "here")
    return chosen.labels(chosen.cohort(root))


def test_columns_become_findings_and_an_empty_cell_is_unknown(root: Path) -> None:
    result = labels(root, findings={"Effusion": "effusion", "Mass": "mass", "Ill": "label"})
    assert list(result) == ["Effusion", "Mass", "Ill"]
    np.testing.assert_array_equal(result.to_numpy(), [[1, np.nan, 1], [0, 1, 0], [np.nan, 0, 1]])


def test_a_list_of_findings_names_columns_and_a_pattern_reads_the_file_name(root: Path) -> None:
    result = labels(root, findings=["effusion"], patterns={"viral": "_virus"})
    assert result["viral"].tolist() == [0, 0, 1] and list(result) == ["effusion", "viral"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"findings": ["efusion"]}, r"set 'mine': unknown column 'efusion'; did you mean 'effusion'"),
        (
            {"findings": {"Seen": "seen"}},
            r"finding Seen: the column 'seen' needs 1, 0 or an empty cell; 'a.png' has 'yes'",
        ),
        ({}, "without them it has no labels"),
        ({"patterns": {"viral": "("}}, "not a regular expression"),
        ({"findings": ["mass"], "patterns": {"mass": "m"}}, "under both findings and patterns"),
        ({"findings": ["mass"], "tabel": "t.csv"}, "did you mean 'table'"),
        ({"findings": ["mass"], "source": "csv"}, "unknown data source 'csv'"),
    ],
)
def test_a_set_that_cannot_be_is_refused(root: Path, options: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        labels(root, **options)


def test_a_set_needs_its_folder() -> None:
    with pytest.raises(UserError, match="--data PATH"):
        FindingSet.of({**SET, "findings": ["mass"]}, "here").cohort(None)


def test_joined_sets_give_each_image_from_its_own_set_in_the_order_asked_for(root: Path) -> None:
    chosen = FindingSet.of({**SET, "folder": "set", "findings": ["mass"]}, "here")
    cache = build_cache(chosen.cohort(root), 64)
    joined = JoinedCache({"one": cache, "two": cache})
    result = joined.batch(["two/b.png", "one/a.png"])
    np.testing.assert_array_equal(result, cache.batch(["b.png", "a.png"]))
    with pytest.raises(UserError, match=r"unknown image 'z\.png'"):
        joined.batch(["one/z.png"])


def test_the_held_out_share_is_reached_and_nobody_moves() -> None:
    names = [f"p{number}" for number in range(4000)]
    held = [in_validation("set", name, 0.1, seed=0) for name in names]
    assert 0.08 < np.mean(held) < 0.12
    assert [in_validation("set", name, 0.2, seed=0) for name, was in zip(names, held, strict=True) if was] == [
        True
    ] * sum(held)
    assert held != [in_validation("other", name, 0.1, seed=0) for name in names]
    assert held != [in_validation("set", name, 0.1, seed=1) for name in names]
