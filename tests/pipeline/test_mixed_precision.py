"""Everything in bfloat16, as on a GPU: the CPU's own, since tests have no other. Only speed is a GPU's alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

import cxrlens
from cxrlens.train.device import Device
from support.tiny_study import STUDY

ONE = STUDY.replace("seeds = [0, 1]", "seeds = [0]").replace("gallery = false\n", "images = []\n")
PRETRAINING = """
name = "tiny-cxr"
[backbone]
name = "tf_efficientnet_lite0"
[[data]]
name = "drawn"
source = "phantom"
patients = 20
size = 64
findings = { Opacity = "label" }
[images]
size = 64
validation = 0.4
merge_duplicates = false
[training]
batch = 8
epochs = 1
"""


@pytest.fixture
def rounded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How often arithmetic went to bfloat16."""
    entered: list[int] = []

    def autocast(_: Device) -> Any:
        entered.append(1)
        return torch.autocast("cpu", torch.bfloat16)

    monkeypatch.setattr(Device, "autocast", autocast)
    return entered


def test_a_run_trains_and_is_judged_looked_at_and_audited(
    rounded: list[int], finished: cxrlens.Run, tmp_path: Path
) -> None:
    (tmp_path / "study.toml").write_text(ONE)
    run = cxrlens.run(cxrlens.Study.load(tmp_path / "study.toml"), out=tmp_path / "run", device="cpu")
    assert rounded, "nothing was rounded: the test tests nothing"
    plain = finished.predictions[finished.predictions["seed"] == 0]
    both = run.predictions.merge(plain, on=["model", "image"], suffixes=("", "_plain"))
    apart = (both["logit"] - both["logit_plain"]).abs()[both["model"] == "frozen network"]
    assert len(apart) and 0 < apart.max() < 0.5, "bfloat16 has 8 bits: near float32 where a head alone learns, not it"
    weights = run.model("small network").state_dict().values()
    assert {each.dtype for each in weights if each.is_floating_point()} == {torch.float32}, "weights stay in full"
    output = run.audit(device="cpu").record
    assert {each["model"] for each in output["findings"]} == {None, "small network", "frozen network"}
    assert all(each["value"] is None or np.isfinite(each["value"]) for each in output["findings"])
    assert all(np.load(path)["saliency"].any() for path in (tmp_path / "run" / "maps").glob("*network.npz"))


def test_a_pretraining_on_one_finding_learns_and_writes_its_weights(rounded: list[int], tmp_path: Path) -> None:
    (tmp_path / "study.toml").write_text(PRETRAINING)
    made = cxrlens.pretrain(cxrlens.PretrainStudy.load(tmp_path / "study.toml"), out=tmp_path / "out", device="cpu")
    history = pd.read_csv(made.folder / "history.csv")
    assert rounded and len(history) == 1 and np.isfinite(history["loss"]).all()
    results = json.loads((made.folder / "results.json").read_text())
    assert [each["finding"] for each in results["findings"]] == ["Opacity"]
    written = load_file(made.folder / "weights.safetensors").values()
    assert written and all(torch.isfinite(each).all() for each in written if each.is_floating_point())
