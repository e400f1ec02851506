"""What a run writes comes back as it was."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

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
