"""Weights made here: a file that says itself what it is, comes back whole, and is refused where it lies."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from cxrlens.errors import UserError
from cxrlens.models.backbones import Preprocessing
from cxrlens.models.backbones.timm_family import build_backbone
from cxrlens.models.classifier import ModelOptions, build_classifier, seeded
from cxrlens.models.weights.cards import CARDS, KEY, WeightCard
from cxrlens.models.weights.fetch import add_weights
from cxrlens.models.weights.find import local_file
from cxrlens.models.weights.store import verify_weights, write_weights

NAME = "tf_efficientnet_lite0"
CARD = WeightCard(
    name="ours",
    architecture=NAME,
    title="a network of ours",
    preprocessing=Preprocessing((0.1, 0.2, 0.3), (0.4, 0.5, 0.6)),
    size=96,
    licence="Apache-2.0",
    source="made here",
    format="cxrlens_card",
)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    with seeded(7):
        backbone = build_backbone(NAME, 96)
    path = tmp_path_factory.mktemp("made") / "ours.safetensors"
    write_weights(path, backbone, CARD)
    return path


def rewritten(made: Path, to: Path, change) -> Path:
    tensors = load_file(made)
    with safe_open(made, "pt") as file:
        card = json.loads(file.metadata()[KEY])
    change(tensors, card)
    save_file(tensors, to, {KEY: card if isinstance(card, str) else json.dumps(card)})
    return to


def row(path: Path) -> ModelOptions:
    return ModelOptions(name="a row", backbone=NAME, weights=str(path))


def test_a_study_takes_the_file_by_its_path_with_all_that_its_card_says(made: Path) -> None:
    model = build_classifier(row(made), 96, seed=0)
    assert (model.weights.title, model.preprocessing) == (CARD.title, CARD.preprocessing)
    with seeded(7):
        original = build_backbone(NAME, 96).eval()
    image = torch.rand(1, 3, 96, 96, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(model.backbone.eval()(image), original(image), rtol=0.02, atol=0.02)


def test_half_precision_halves_the_file_and_single_keeps_every_bit(made: Path, tmp_path: Path) -> None:
    with seeded(7):
        backbone = build_backbone(NAME, 96)
    write_weights(tmp_path / "single.safetensors", backbone, CARD, half=False)
    assert made.stat().st_size < 0.52 * (tmp_path / "single.safetensors").stat().st_size
    back = load_file(tmp_path / "single.safetensors")
    assert all(torch.equal(each, back[name]) for name, each in backbone.network.state_dict().items())


def test_the_card_in_the_file_is_the_card(made: Path) -> None:
    with safe_open(made, "pt") as file:
        result = WeightCard.from_json(file.metadata()[KEY], made.name)
    assert result.known_output is not None
    assert WeightCard.from_json(result.to_json(), "here") == result
    assert (result.name, result.size, result.preprocessing) == ("ours", 96, CARD.preprocessing)


def test_a_users_own_weights_are_added_listed_and_taken_by_name(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CXRLENS_WEIGHTS", str(tmp_path / "weights"))
    assert "ours" not in CARDS
    card, verified = add_weights(made)
    assert (card.name, verified.output_checked) == ("ours", True)
    assert CARDS["ours"].title == CARD.title and local_file(CARDS["ours"]) == tmp_path / "weights" / "ours.safetensors"
    model = build_classifier(ModelOptions(name="x", backbone=NAME, weights="ours"), 96, seed=0)
    assert (model.weights.name, model.preprocessing) == ("ours", CARD.preprocessing)
    assert verify_weights("ours").tensors == len(load_file(made))


def test_a_damaged_file_in_the_weights_folder_spoils_no_other(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CXRLENS_WEIGHTS", str(tmp_path))
    (tmp_path / "cut.safetensors").write_bytes(made.read_bytes()[:500])
    (tmp_path / "page.safetensors").write_text("<html>")
    assert {"efficientnet-lite0-imagenet", "chexnet"} <= set(CARDS) and "cut" not in CARDS


def swap(tensors, card) -> None:
    """Two tensors of one shape exchanged: every name and shape still fits."""
    one, other = "blocks.1.1.conv_pw.weight", "blocks.2.0.conv_pw.weight"
    assert tensors[one].shape == tensors[other].shape
    tensors[one], tensors[other] = tensors[other], tensors[one]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda tensors, card: tensors.pop("blocks.3.1.bn2.bias"), r"1 missing \(blocks.3.1.bn2.bias"),
        (swap, "they are not the weights of their card"),
        (lambda tensors, card: card.update(architecture="densenet121"), "holds a densenet121; this backbone is"),
        (lambda tensors, card: card.pop("size"), "a damaged weight card"),
        (lambda tensors, card: card.update(preprocessing={"mean": [0], "std": [1]}), "a damaged weight card"),
        (lambda tensors, card: card["preprocessing"].update(std=[0, 1, 1]), "a damaged weight card"),
        (lambda tensors, card: card.update(size="large"), "a damaged weight card"),
    ],
)
def test_a_file_that_is_not_what_its_card_says_is_refused(made: Path, tmp_path: Path, change, said: str) -> None:
    path = rewritten(made, tmp_path / "changed.safetensors", change)
    with pytest.raises(UserError, match=said):
        build_classifier(row(path), 96, seed=0)


def test_a_card_that_is_no_json_is_refused(made: Path, tmp_path: Path) -> None:
    save_file(load_file(made), tmp_path / "x.safetensors", {KEY: "[1"})
    with pytest.raises(UserError, match="a damaged weight card"):
        build_classifier(row(tmp_path / "x.safetensors"), 96, seed=0)
