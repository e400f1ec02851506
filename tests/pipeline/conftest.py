"""A study small enough to run in a test."""

from __future__ import annotations

from pathlib import Path

import pytest

import cxrlens
from support.tiny_study import STUDY


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
