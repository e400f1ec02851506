"""The size that weights were trained at comes from the card that they really come to."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from cxrlens.errors import UserError
from cxrlens.models.backbones.timm_family import build_backbone
from cxrlens.models.weights import cards as catalogue
from cxrlens.models.weights import find as hub
from cxrlens.models.weights.cards import CARDS, KEY, NATURAL, XRAY
from cxrlens.models.weights.find import trained_size
from cxrlens.models.weights.store import load_weights


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No hub, no weights but the installed ones, and cards that can be told apart by their size."""
    monkeypatch.setenv("CXRLENS_WEIGHTS", str(tmp_path))
    monkeypatch.setattr(catalogue, "SHIPPED", tmp_path / "none")
    monkeypatch.setattr(hub, "try_to_load_from_cache", lambda *_: None)
    monkeypatch.setattr(hub.constants, "HF_HUB_OFFLINE", True)
    for name, size in {"chexnet": 320, "xrv-nih": 96, "efficientnet-lite0-imagenet": 160}.items():
        monkeypatch.setitem(XRAY if name in XRAY else NATURAL, name, replace(CARDS[name], size=size, known_output=None))
    return tmp_path


def test_a_card_says_it_whether_its_file_is_here_or_not() -> None:
    assert trained_size("efficientnet-lite0-imagenet", "tf_efficientnet_lite0") == 160
    assert trained_size("chexnet", "densenet121") == 320


def test_a_stand_in_brings_its_own(folder: Path) -> None:
    (folder / "xrv-nih.pt").touch()
    assert trained_size("chexnet", "densenet121") == 96
    (folder / "chexnet.h5").touch()
    assert trained_size("chexnet", "densenet121") == 320


def test_auto_has_the_size_of_what_it_takes_and_is_out_of_reach_where_nothing_is(folder: Path) -> None:
    assert trained_size("auto", "tf_efficientnet_lite0") == 160
    with pytest.raises(hub.OutOfReach):
        trained_size("auto", "densenet121")
    (folder / "xrv-nih.pt").touch()
    assert trained_size("auto", "densenet121") == 96
    with pytest.raises(UserError, match="nobody publishes"):
        trained_size("auto", "benchmark_cnn")


def test_timms_own_are_asked_of_timm_by_their_tag() -> None:
    assert trained_size("timm", "vit_tiny_patch16_384.augreg_in21k_ft_in1k") == 384
    assert trained_size("timm", "benchmark_cnn") is None


def test_random_weights_and_files_without_a_card_say_nothing(folder: Path) -> None:
    save_file({"x": torch.zeros(1)}, folder / "mine.safetensors")
    assert trained_size("random", "densenet121") is None
    assert trained_size("mine.safetensors", "densenet121", study_dir=folder) is None


def test_a_file_that_carries_a_card_says_it(folder: Path) -> None:
    card = replace(CARDS["efficientnet-lite0-imagenet"], name="mine", size=72)
    save_file({"x": torch.zeros(1)}, folder / "elsewhere.safetensors", {KEY: card.to_json()})
    assert trained_size("elsewhere.safetensors", "tf_efficientnet_lite0", study_dir=folder) == 72


def test_loaded_weights_carry_it_with_what_was_requested() -> None:
    got = load_weights(build_backbone("tf_efficientnet_lite0", 64), "auto", "tf_efficientnet_lite0")
    assert (got.size, got.requested, got.input) == (160, "auto", "RGB, (x * 255 - 127) / 128")
    got = load_weights(build_backbone("benchmark_cnn", 64), "random", "benchmark_cnn")
    assert (got.size, got.requested, got.input) == (None, "random", "")
