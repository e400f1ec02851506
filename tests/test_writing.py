"""Nothing stands half under a final name, and whoever asked is told why."""

from __future__ import annotations

import errno
import sys
from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError

from cxrlens.errors import UserError
from cxrlens.files import write_atomically, write_text
from cxrlens.train import checkpoint as checkpoint_module
from cxrlens.train.checkpoint import save_tensors


def test_a_full_disk_leaves_what_was_there_and_no_draft(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    write_text(path, "whole")

    def full(draft: Path) -> None:
        draft.write_text("ha")
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(UserError, match=r"cannot write .*results\.json: No space left on device; free some space"):
        write_atomically(path, full)
    assert path.read_text() == "whole" and list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(sys.platform == "win32", reason="an open file cannot be replaced there")
def test_the_new_file_takes_the_place_of_the_old_one_whole(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    write_text(path, "old")
    with path.open() as reader:
        write_text(path, "new")
        assert reader.read() == "old", "the old file was written over, so that an interruption leaves it half"
    assert path.read_text() == "new"


def test_a_folder_that_is_a_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UserError, match="cannot write"):
        write_text(tmp_path / "file" / "table.csv", "a")


def test_weights_on_a_full_disk_are_told_and_not_half_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(tensors: object, draft: Path, metadata: object) -> None:
        draft.write_bytes(b"half")
        raise SafetensorError("I/O error: No space left on device (os error 28)")

    monkeypatch.setattr(checkpoint_module, "save_file", full)
    with pytest.raises(UserError, match="No space left on device"):
        save_tensors(tmp_path / "weights.safetensors", {"a": torch.ones(1)})
    assert not list(tmp_path.iterdir())
