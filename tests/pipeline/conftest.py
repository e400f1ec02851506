"""A study small enough to run in a test."""

from __future__ import annotations

from pathlib import Path

import pytest

import cxrlens

STUDY = """
name = "tiny"
seeds = [0, 1]

[data]
source = "phantom"
patients = 16
images_per_patient = [1, 2]
size = 64
seed = 3

[images]
size = 64
interpolation = "bilinear"

[split]
validation = 0.4

[augment]
horizontal_flip = true

[training]
batch = 8
epochs = 2

[explain]
figures = []
gallery = false

[[models]]
name = "small network"
backbone = "tf_efficientnet_lite0"
trained = "all"
head = "linear"

[[models]]
name = "frozen network"
backbone = "tf_efficientnet_lite0"
weights = "efficientnet-lite0-imagenet"
trained = "head"
head = "linear"
paper_auc = 0.7

[[models]]
name = "out of reach"
backbone = "densenet121"
weights = "chexnet"
"""


@pytest.fixture(autouse=True)
def no_weights(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXRLENS_WEIGHTS", str(tmp_path_factory.mktemp("no-weights")))


@pytest.fixture(scope="session")
def study_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("study") / "tiny.toml"
    path.write_text(STUDY)
    return path


@pytest.fixture(scope="session")
def finished(study_file: Path, tmp_path_factory: pytest.TempPathFactory) -> cxrlens.Run:
    """A run of the tiny study, for reading only."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CXRLENS_WEIGHTS", str(tmp_path_factory.mktemp("nothing")))
        return cxrlens.run(cxrlens.Study.load(study_file), out=tmp_path_factory.mktemp("runs") / "tiny", device="cpu")
