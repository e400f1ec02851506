"""The weights that come with the package: whole, what their card says, usable without a network, and described."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from cxrlens.cli import main as cli
from cxrlens.errors import UserError
from cxrlens.models.backbones import Preprocessing
from cxrlens.models.backbones.timm_family import build_backbone
from cxrlens.models.classifier import ModelOptions, build_classifier
from cxrlens.models.weights.cards import CARDS, SHIPPED
from cxrlens.models.weights.find import find_weights, resolve
from cxrlens.models.weights.store import accept, verify_weights
from cxrlens.pretrain_study import PretrainStudy, Scale

PRETRAININGS = Path(__file__).parents[2] / "studies" / "pretraining"
NAMES = sorted(file.stem for file in SHIPPED.glob("*.safetensors"))


@pytest.fixture(autouse=True)
def nothing_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXRLENS_WEIGHTS", str(tmp_path))


def test_the_x_ray_weights_are_there() -> None:
    assert "efficientnet-lite0-cxr" in NAMES


@pytest.mark.parametrize("name", NAMES)
def test_each_is_whole_half_precision_and_gives_the_output_on_its_card(name: str) -> None:
    done = verify_weights(name)
    assert done.output_checked and done.hash_checked and done.path.stat().st_size < 15e6
    assert {each.dtype for each in load_file(done.path).values()} == {torch.float16, torch.int64}


def test_a_single_bit_that_changed_is_refused(tmp_path: Path) -> None:
    shipped = tmp_path / "shipped"
    shutil.copytree(SHIPPED, shipped)
    file = shipped / f"{NAMES[0]}.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    with pytest.raises(UserError, match="is not the published file of 'efficientnet-lite0-cxr': SHA-256"):
        accept(file, CARDS[NAMES[0]])


@pytest.mark.parametrize("name", NAMES)
def test_each_card_says_what_a_user_must_know(name: str) -> None:
    card = CARDS[name]
    assert card.licence != "not stated" and card.citation and card.size < 224
    text = (SHIPPED / f"{name}.md").read_text(encoding="utf-8")
    for part in (
        f"# {name}",
        "never for diagnosis",
        "## Data",
        "CC BY 4.0",
        "| Pneumonia |",
        "## Limitations",
        "children",
    ):
        assert part in text, part


@pytest.mark.parametrize("name", NAMES)
def test_each_is_what_a_pretraining_file_here_asks_for(name: str) -> None:
    study = PretrainStudy.load(PRETRAININGS / f"{name}.toml")
    card, scale = CARDS[name], study.backbone.preprocessing
    assert (study.name, study.backbone.name, study.images.size) == (name, card.architecture, card.size)
    assert (study.card.title, study.card.licence, study.card.citation) == (card.title, card.licence, card.citation)
    assert isinstance(scale, Scale) and card.preprocessing == Preprocessing((scale.mean,) * 3, (scale.std,) * 3)
    text = (SHIPPED / f"{name}.md").read_text(encoding="utf-8")
    assert all(f"- {line}" in text for line in (*study.card.data, *study.card.limits))
    assert f"{study.training.epochs} epochs, batch {study.training.batch}, AdamW" in text


def test_they_are_listed_as_available_and_taken_by_auto(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.app(["weights", "list", "--json"])
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert all(rows[name]["available"] for name in NAMES)
    assert rows[NAMES[0]].keys() == {"name", "architecture", "source", "licence", "available"}
    assert resolve("auto", "tf_efficientnet_lite0") == "efficientnet-lite0-cxr"
    assert find_weights("auto", "tf_efficientnet_lite0") == SHIPPED / "efficientnet-lite0-cxr.safetensors"


def test_they_are_not_imagenets_and_a_study_gets_them_whole() -> None:
    row = ModelOptions(name="x", backbone="tf_efficientnet_lite0", weights="efficientnet-lite0-cxr")
    model = build_classifier(row, 160, seed=0)
    stored = load_file(SHIPPED / "efficientnet-lite0-cxr.safetensors")
    state = model.backbone.network.state_dict()
    assert state.keys() == stored.keys() == build_backbone("tf_efficientnet_lite0", 160).network.state_dict().keys()
    assert all(torch.equal(state[name].half(), each.half()) for name, each in stored.items())
    other = build_classifier(row.model_copy(update={"weights": "efficientnet-lite0-imagenet"}), 160, seed=0)
    assert not torch.equal(other.backbone.network.state_dict()["conv_head.weight"], state["conv_head.weight"])
