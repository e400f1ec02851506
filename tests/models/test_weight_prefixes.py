"""A prefix that a wrapper put before every name is taken off where all the rest fits; never a part alone."""

from __future__ import annotations

import copy
import tracemalloc
from functools import cache
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from cxrlens.errors import UserError
from cxrlens.models.backbones import Backbone
from cxrlens.models.backbones.timm_family import build_backbone
from cxrlens.models.weights.containers import MAGIC, read_contents
from cxrlens.models.weights.store import load_weights
from support.published_layouts import torch_state

Tensors = dict[str, torch.Tensor]
fresh = cache(lambda name: build_backbone(name, 64))
WRAPPERS = ("module.", "_orig_mod.", "model.", "net.", "encoder.", "backbone.", "module.model.", "model._orig_mod.net.",
            "network.trunk.")  # fmt: skip


@pytest.fixture(scope="module")
def state() -> Tensors:
    """A ResNet18 of timm with its classifier, unlike every fresh one."""
    torch.manual_seed(1)
    drawn = {name: torch.randn_like(each) if each.is_floating_point() else each
             for name, each in fresh("resnet18").network.state_dict().items()}  # fmt: skip
    return drawn | {"fc.weight": torch.zeros(3, 512), "fc.bias": torch.zeros(3)}


def load(path: Path, name: str = "resnet18") -> Backbone:
    backbone = copy.deepcopy(fresh(name))
    before = {key: each.clone() for key, each in backbone.state_dict().items()}
    try:
        load_weights(backbone, path.name, name, study_dir=path.parent)
    except UserError:
        after = backbone.state_dict()
        assert all(torch.equal(each, after[key]) for key, each in before.items()), "a refused file must change nothing"
        raise
    return backbone


def arrives(path: Path, state: Tensors) -> None:
    held = load(path).network.state_dict()
    assert all(torch.equal(each, state[name]) for name, each in held.items())


@pytest.mark.parametrize("prefix", WRAPPERS)
def test_a_common_prefix_is_taken_off_of_either_kind_of_file(tmp_path: Path, state: Tensors, prefix: str) -> None:
    wrapped = {prefix + name: each for name, each in state.items()}
    save_file(wrapped, tmp_path / "w.safetensors")
    arrives(tmp_path / "w.safetensors", state)
    torch.save({"state_dict": wrapped, "epoch": 3}, tmp_path / "w.pth")
    arrives(tmp_path / "w.pth", state)


@pytest.mark.parametrize(
    "keys", [["model"], ["model_state_dict"], ["state_dict", "model"], ["net"], ["state_dict_ema"]]
)
def test_a_network_inside_a_checkpoint_is_found(tmp_path: Path, state: Tensors, keys: list[str]) -> None:
    checkpoint: object = state
    for key in reversed(keys):
        checkpoint = {key: checkpoint, "optimizer": {"state": {}}, "epoch": 3, "params": {"width": 2}}
    torch.save(checkpoint, tmp_path / "w.pth")
    arrives(tmp_path / "w.pth", state)


def test_one_of_several_networks_is_not_chosen_in_silence(tmp_path: Path, state: Tensors) -> None:
    torch.save({"model": state, "model_ema": state}, tmp_path / "w.pth")
    with pytest.raises(UserError, match=r"several networks \(model, model_ema\): save the state dict of one alone"):
        load(tmp_path / "w.pth")


def test_a_module_that_was_compiled_alone_is_known(tmp_path: Path, state: Tensors) -> None:
    wrapped = {name.replace("layer1.", "layer1._orig_mod."): each for name, each in state.items()}
    save_file(wrapped, tmp_path / "w.safetensors")
    arrives(tmp_path / "w.safetensors", state)


def test_a_published_layout_is_known_behind_a_prefix_too(tmp_path: Path) -> None:
    dotted = {f"module.model.{name}": each for name, each in torch_state(dotted=True, outputs=1000).items()}
    torch.save(dotted, tmp_path / "d.pth")
    held = load(tmp_path / "d.pth", "densenet121").network.state_dict()
    last = "denseblock4.denselayer16.norm"
    assert torch.equal(held[f"features.{last}2.bias"], dotted[f"module.model.features.{last}.2.bias"])


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda t: t.pop("module.layer1.0.conv1.weight"), r"1 missing \(layer1.0.conv1.weight"),
        (lambda t: t.update({"module.layer9.weight": torch.zeros(1)}), r"1 left over \(layer9.weight"),
        (lambda t: t.update({"module.bn1.bias": torch.zeros(3)}), r"1 of another shape \(bn1.bias"),
        (lambda t: t.update({"bn1.bias": t.pop("module.bn1.bias")}), r"does not fit resnet18, so nothing was loaded"),
        (lambda t: t.update({"other.bn1.bias": t.pop("module.bn1.bias")}), r"so nothing was loaded"),
    ],
)
def test_a_part_is_never_loaded(tmp_path: Path, state: Tensors, spoil, message: str) -> None:
    wrapped = {f"module.{name}": each for name, each in state.items()}
    spoil(wrapped)
    save_file(wrapped, tmp_path / "w.safetensors")
    with pytest.raises(UserError, match=message):
        load(tmp_path / "w.safetensors")


def test_a_network_beside_other_parts_is_refused_with_its_place(tmp_path: Path, state: Tensors) -> None:
    beside = {f"model.encoder.{name}": each for name, each in state.items()}
    save_file(beside | {"model.projector.0.weight": torch.zeros(2, 2)}, tmp_path / "w.safetensors")
    message = r"its part 'model.encoder' is this complete network, beside 1 other tensor \(model.projector.0.weight"
    with pytest.raises(UserError, match=message):
        load(tmp_path / "w.safetensors")


def test_two_names_that_a_prefix_alone_tells_apart_are_refused(tmp_path: Path, state: Tensors) -> None:
    save_file(state | {"_orig_mod.bn1.bias": torch.zeros(64)}, tmp_path / "w.safetensors")
    with pytest.raises(UserError, match=r"1 left over \(_orig_mod.bn1.bias"):
        load(tmp_path / "w.safetensors")


def test_a_pickle_whose_memo_asks_for_gigabytes_takes_none(tmp_path: Path) -> None:
    index = (2**26).to_bytes(4, "little")  # a gibibyte, if the memo were a table
    head = MAGIC + b"\x80\x02M\xe9\x03." + b"\x80\x02}."
    (tmp_path / "memo.pt").write_bytes(head + b"\x80\x02Nr" + index + b"cos\nsystem\n.")
    tracemalloc.start()
    try:
        with pytest.raises(UserError):
            read_contents(tmp_path / "memo.pt")
        assert tracemalloc.get_traced_memory()[1] < 2**26
    finally:
        tracemalloc.stop()
