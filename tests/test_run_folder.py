"""What a run writes comes back as it was."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cxrlens.errors import UserError
from cxrlens.run_folder import RunFolder


def test_a_table_comes_back_with_its_names_numbers_and_gaps(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    table = pd.DataFrame(
        {
            "image": ['a, "b".png', "NA", "é.png"],
            "patient": ["007", "NA", "nan"],
            "logit": [0.1 + 0.2, -1e-17, np.nan],
            "view": ["PA", None, "N/A"],
        }
    )
    run.write_table(tmp_path / "table.csv", table)
    back = run.read_table(tmp_path / "table.csv")
    assert back["image"].tolist() == table["image"].tolist()
    assert back["patient"].tolist() == ["007", "NA", "nan"]
    assert back["logit"].tolist()[:2] == [0.1 + 0.2, -1e-17] and np.isnan(back["logit"][2])
    assert back["view"][2] == "N/A" and pd.isna(back["view"][1])


def test_text_stays_text_and_numbers_stay_numbers_whatever_they_look_like(tmp_path: Path) -> None:
    odd = ["01", "1", "1.0", "1e5", "NA", "None", "null", "nan", "True", " a ", "x\ry", "p\nq", "-", "007", "7", "inf"]
    texts = ("image", "patient", "model", "view", "source", "site", "date", "sex", "license", "sha256", "steps", "ward")
    table = pd.DataFrame(
        {
            **{name: pd.Series(odd, dtype=object) for name in texts},
            "seed": range(len(odd)),
            "label": [1.0, np.nan] * (len(odd) // 2),
            "logit": np.random.default_rng(0).normal(size=len(odd)) * 1e-7,
            "offset": [float(number) for number in range(len(odd))],  # the source's own numbers, and its own codes
            "code": ["1.10", "2.25"] * (len(odd) // 2),
            "patient_known": [True, False] * (len(odd) // 2),
        }
    )
    RunFolder(tmp_path).write_table(tmp_path / "table.csv", table)
    back = RunFolder(tmp_path).read_table(tmp_path / "table.csv")
    pd.testing.assert_frame_equal(back, table.astype({"code": object}), check_exact=True)


def test_a_column_of_codes_that_looks_like_numbers_throughout_stays_text(tmp_path: Path) -> None:
    for codes in (["01", "02"], ["1", "2"], ["1.0", "2.0"], ["18", "034"], ["NA", "NA"], ["1e5", "2e5"]):
        table = pd.DataFrame({name: pd.Series(codes, dtype=object) for name in ("model", "source", "view", "image")})
        RunFolder(tmp_path).write_table(tmp_path / "table.csv", table)
        back = RunFolder(tmp_path).read_table(tmp_path / "table.csv")
        assert back.to_dict("list") == table.to_dict("list")


def test_a_table_with_a_number_that_is_none_is_called_damaged(tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_text("image,logit\na.png,0.1\nb.png,0.1x\n")
    with pytest.raises(UserError, match="is damaged"):
        RunFolder(tmp_path).read_table(tmp_path / "table.csv")
