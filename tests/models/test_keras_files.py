"""Keras' files of every kind give the outputs of Keras' own networks, and what is not whole is refused."""

from __future__ import annotations

import copy
import hashlib
import zipfile
from dataclasses import replace
from functools import cache
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from cxrlens.errors import UserError
from cxrlens.models.backbones.timm_family import build_backbone
from cxrlens.models.weights import containers, find
from cxrlens.models.weights import find as hub
from cxrlens.models.weights import store as identity
from cxrlens.models.weights.cards import CARDS, NATURAL
from cxrlens.models.weights.containers import read_contents
from cxrlens.models.weights.fetch import recognise_card
from cxrlens.models.weights.store import LoadedWeights, load_weights
from support.published_layouts import (
    Arrays,
    keras_arrays,
    keras_forward,
    vgg_arrays,
    vgg_forward,
    write_keras,
    write_keras_3,
)

fresh = cache(lambda architecture: build_backbone(architecture, 64))
COLOURED = torch.rand(1, 3, 48, 40, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
KINDS = {
    "a.h5": write_keras,
    "whole.h5": lambda path, arrays: write_keras(path, arrays, whole_model=True),
    "a.weights.h5": write_keras_3,
    "a.keras": write_keras_3,
    "tf.weights.h5": lambda path, arrays: write_keras_3(path, arrays, names=False),
    "tf213.weights.h5": lambda path, arrays: write_keras_3(path, arrays, False, "_layer_checkpoint_dependencies"),
    "inside.weights.h5": lambda path, arrays: write_keras_3(path, arrays, around="layers/functional/"),
}
every_kind = pytest.mark.parametrize("kind", KINDS)


def loaded(path: Path, architecture: str) -> tuple[torch.nn.Module, LoadedWeights]:
    backbone = copy.deepcopy(fresh(architecture))
    before = copy.deepcopy(next(backbone.parameters()))
    try:
        weights = load_weights(backbone, path.name, architecture, study_dir=path.parent)
    except UserError:
        assert torch.equal(next(backbone.parameters()), before), "a refused file must change nothing"
        raise
    return backbone.double().eval(), weights


def difference(path: Path, architecture: str, images: torch.Tensor, expected: torch.Tensor) -> float:
    """Of RGB images in [0, 1], given as the weights say."""
    backbone, weights = loaded(path, architecture)
    mean, std = (torch.tensor(each, dtype=torch.float64).view(1, 3, 1, 1)
                 for each in (weights.preprocessing.mean, weights.preprocessing.std))  # fmt: skip
    with torch.no_grad():
        features = backbone((images - mean) / std)
    assert features.shape == expected.shape and expected.std() > 0.05
    return ((features - expected).norm() / expected.norm()).item()


@pytest.fixture(scope="module")
def vgg() -> Arrays:
    return vgg_arrays()


@pytest.fixture(scope="module")
def vgg_wanted(vgg: Arrays) -> torch.Tensor:
    return vgg_forward(vgg, COLOURED * 255)


@every_kind
def test_vgg16_gives_keras_own_outputs_for_a_coloured_image(tmp_path: Path, vgg, vgg_wanted, kind: str) -> None:
    path = KINDS[kind](tmp_path / kind, vgg)
    assert difference(path, "vgg16", COLOURED, vgg_wanted) < 1e-6
    swapped = COLOURED[:, [2, 1, 0]]
    assert difference(path, "vgg16", swapped, vgg_wanted) > 1e-2, "this test could not tell RGB from BGR"


@every_kind
def test_densenet121_gives_keras_own_outputs(tmp_path: Path, kind: str) -> None:
    arrays = keras_arrays()
    mean, std = torch.tensor([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]], dtype=torch.float64).view(2, 1, 3, 1, 1)
    expected = keras_forward(write_keras(tmp_path / "definition", arrays), (COLOURED - mean) / std)
    assert difference(KINDS[kind](tmp_path / kind, arrays), "densenet121", COLOURED, expected) < 1e-5


@pytest.mark.parametrize("kind", ["a.h5", "a.weights.h5", "tf.weights.h5"])
def test_the_top_is_left_behind(tmp_path: Path, vgg, vgg_wanted, kind: str) -> None:
    path = KINDS[kind](tmp_path / kind, vgg_arrays(top=True))
    assert difference(path, "vgg16", COLOURED, vgg_wanted) < 1e-6


def test_vgg19_is_read_too_and_not_taken_for_vgg16(tmp_path: Path) -> None:
    deeper = vgg_arrays(depths=(2, 2, 4, 4, 4))
    path = write_keras_3(tmp_path / "19.weights.h5", deeper, names=False)
    assert difference(path, "vgg19", COLOURED, vgg_forward(deeper, COLOURED * 255)) < 1e-6
    with pytest.raises(UserError, match="holds a vgg19; this backbone is vgg16"):
        loaded(path, "vgg16")


@every_kind
def test_a_dropped_tensor_is_named(tmp_path: Path, vgg, kind: str) -> None:
    arrays = {name: array for name, array in vgg.items() if name != "block4_conv2/bias:0"}
    with pytest.raises(UserError, match=r"1 missing \(features\.19\.bias"):
        loaded(KINDS[kind](tmp_path / kind, arrays), "vgg16")


@pytest.mark.parametrize("part", ["kernel", "bias"])
@pytest.mark.parametrize("kind", ["a.h5", "a.weights.h5", "tf.weights.h5"])
def test_a_swap_of_two_tensors_of_one_shape_changes_the_outputs(
    tmp_path: Path, vgg, vgg_wanted, kind: str, part: str
) -> None:
    one, other = f"block5_conv1/{part}:0", f"block5_conv3/{part}:0"
    arrays = vgg | {one: vgg[other], other: vgg[one]}
    assert difference(KINDS[kind](tmp_path / kind, arrays), "vgg16", COLOURED, vgg_wanted) > 1e-3


def test_a_layer_that_says_it_is_another_is_refused(tmp_path: Path, vgg) -> None:
    path = write_keras_3(tmp_path / "a.weights.h5", vgg)
    with h5py.File(path, "a") as file:
        for group, name in (("layers/conv2d_11", "block5_conv3"), ("layers/conv2d_12", "block5_conv2")):
            file[f"{group}/vars"].attrs["name"] = name
    with pytest.raises(UserError, match="conv2d_11 is called block5_conv3; block5_conv2 belongs there"):
        loaded(path, "vgg16")


@pytest.mark.parametrize("kind", ["a.h5", "a.weights.h5", "tf.weights.h5"])
def test_another_network_is_not_called_a_densenet(tmp_path: Path, kind: str) -> None:
    other = {f"conv2d_{i}/kernel:0": np.zeros((1, 1, 2, 2), "f4") for i in range(5)}
    with pytest.raises(UserError, match="another network than those supported, VGG16"):
        loaded(KINDS[kind](tmp_path / kind, other), "resnet18")


def test_a_network_inside_a_users_own_says_how_to_save_it(tmp_path: Path, vgg) -> None:
    path = write_keras_3(tmp_path / "own.weights.h5", vgg, around="layers/functional/")
    with h5py.File(path, "a") as file:
        file["layers/dense/vars/0"] = np.zeros((512, 1), "f4")
    with pytest.raises(UserError, match=r"inside another \('layers/functional'\).*save the inner one alone"):
        loaded(path, "vgg16")
    legacy = write_keras(tmp_path / "own.h5", vgg | {"sequential/dense/kernel:0": np.zeros((512, 1), "f4")})
    with pytest.raises(UserError, match=r"1 left over \(sequential/dense/kernel:0…\); .*save the inner one alone"):
        loaded(legacy, "vgg16")


def test_names_with_scopes_and_numbers_of_old_keras_are_known(tmp_path: Path, vgg, vgg_wanted) -> None:
    arrays = {name.replace("/", "_1/").replace("block", "model_2/block"): array for name, array in vgg.items()}
    assert difference(write_keras(tmp_path / "old.h5", arrays), "vgg16", COLOURED, vgg_wanted) < 1e-6
    both = vgg | {"block1_conv1_1/bias:0": np.ones(64, "f4")}
    with pytest.raises(UserError, match=r"1 left over \(block1_conv1_1/bias:0"):
        loaded(write_keras(tmp_path / "both.h5", both), "vgg16")


class TestHostile:
    def test_arrays_larger_than_any_networks_are_refused_before_they_are_read(self, tmp_path: Path) -> None:
        with h5py.File(tmp_path / "huge.h5", "w") as file:
            file.attrs["layer_names"] = [b"bn"]
            group = file.create_group("bn")
            group.attrs["weight_names"] = [f"w{i}".encode() for i in range(3)]
            for i in range(3):
                group.create_dataset(f"w{i}", (2**27,), "f4", chunks=(2**20,), compression="gzip")
        with pytest.raises(UserError, match=r"huge\.h5 declares more numbers than any known network"):
            read_contents(tmp_path / "huge.h5")

    def test_a_file_that_hangs_its_library_is_given_up(self, tmp_path: Path, vgg, monkeypatch) -> None:
        reader = tmp_path / "hangs.py"
        reader.write_text("import time\ntime.sleep(60)\n")
        monkeypatch.setattr(containers, "TIMEOUT", 0.3)
        monkeypatch.setattr(containers, "READER", reader)
        with h5py.File(tmp_path / "a.h5", "w"):
            pass
        with pytest.raises(UserError, match=r"nothing could be read in 0\.3 seconds"):
            read_contents(tmp_path / "a.h5")

    def test_a_reader_that_gives_all_and_does_not_end_is_given_up(self, tmp_path: Path, monkeypatch) -> None:
        reader = tmp_path / "stays.py"
        reader.write_text(
            "import json, sys, time\ntext = json.dumps({'arrays': [], 'layers': {}}).encode()\n"
            "sys.stdout.buffer.write(len(text).to_bytes(8, 'little') + text)\nsys.stdout.flush()\ntime.sleep(60)\n"
        )
        monkeypatch.setattr(containers, "TIMEOUT", 2.0)
        monkeypatch.setattr(containers, "READER", reader)
        with h5py.File(tmp_path / "a.h5", "w"):
            pass
        with pytest.raises(UserError, match=r"a\.h5 is not a complete HDF5 file"):
            read_contents(tmp_path / "a.h5")

    def test_a_reader_that_dies_midway_gives_no_numbers(self, tmp_path: Path, monkeypatch) -> None:
        reader = tmp_path / "dies.py"
        reader.write_text(
            "import json, sys\ntext = json.dumps({'arrays': [['a', [2]]], 'layers': {}}).encode()\n"
            "sys.stdout.buffer.write(len(text).to_bytes(8, 'little') + text + bytes(8))\nsys.exit(1)\n"
        )
        monkeypatch.setattr(containers, "READER", reader)
        with h5py.File(tmp_path / "a.h5", "w"):
            pass
        with pytest.raises(UserError, match="not a complete HDF5 file"):
            read_contents(tmp_path / "a.h5")

    def test_an_archive_that_is_cut_or_lacks_its_weights_is_refused(self, tmp_path: Path, vgg) -> None:
        whole = write_keras_3(tmp_path / "a.keras", {"bn/gamma:0": np.ones(3, "f4")})
        (tmp_path / "cut.keras").write_bytes(whole.read_bytes()[:-40])
        with pytest.raises(UserError, match=r"cut\.keras"):
            read_contents(tmp_path / "cut.keras")
        with zipfile.ZipFile(tmp_path / "bare.keras", "w") as archive:
            archive.writestr("metadata.json", "{}")
            archive.writestr("config.json", "{}")
        with pytest.raises(UserError, match=r"bare\.keras is an archive without model\.weights\.h5"):
            read_contents(tmp_path / "bare.keras")


class TestCard:
    @pytest.fixture
    def published(self, tmp_path: Path, vgg, monkeypatch) -> Path:
        """Random weights where Keras keeps its own, under the name and with the hash of the card."""
        monkeypatch.setenv("CXRLENS_WEIGHTS", str(tmp_path / "weights"))
        monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
        monkeypatch.setattr(hub, "try_to_load_from_cache", lambda *_: None)
        path = tmp_path / "keras" / "models" / "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5"
        path.parent.mkdir(parents=True)
        write_keras(path, vgg)
        digest = hashlib.md5(path.read_bytes()).hexdigest()
        card = replace(CARDS["vgg16-imagenet-keras"], md5=("0" * 32, digest))
        monkeypatch.setitem(NATURAL, card.name, card)
        return path

    def test_auto_and_the_cards_name_find_it_where_keras_keeps_it(self, published: Path, vgg_wanted) -> None:
        assert find.find_weights("auto", "vgg16") == published == find.find_weights("vgg16-imagenet-keras", "vgg16")
        assert recognise_card(published).name == "vgg16-imagenet-keras"
        backbone = copy.deepcopy(fresh("vgg16"))
        got = load_weights(backbone, "auto", "vgg16.tv_in1k")
        assert got.name == "vgg16-imagenet-keras" and "BGR" in got.input and got.size == 224
        named = published.with_name("vgg16_weights_tf_dim_ordering_tf_kernels.h5")
        published.rename(named)
        assert find.find_weights("auto", "vgg16") == named

    def test_what_caffe_is_given_is_its_mean_in_rgb(self) -> None:
        preprocessing = CARDS["vgg16-imagenet-keras"].preprocessing
        pixel = [(255 / 255 - m) / s for m, s in zip(preprocessing.mean, preprocessing.std, strict=True)]
        np.testing.assert_allclose(pixel, [255 - 123.68, 255 - 116.779, 255 - 103.939], rtol=1e-12)

    def test_another_file_under_its_name_is_refused(self, published: Path, vgg) -> None:
        write_keras(published, vgg | {"block1_conv1/bias:0": np.ones(64, "f4")})
        with pytest.raises(UserError, match=r"MD5 [0-9a-f]{32} where .* was needed"):
            load_weights(copy.deepcopy(fresh("vgg16")), "vgg16-imagenet-keras", "vgg16")

    def test_one_identity_takes_every_file_of_the_same_tensors(self, published: Path, vgg, monkeypatch) -> None:
        backbone = copy.deepcopy(fresh("vgg16"))
        load_weights(backbone, "auto", "vgg16")
        digest = identity.tensors_sha256(backbone.network.state_dict())
        card = replace(CARDS["vgg16-imagenet-keras"], tensors_sha256=digest)
        monkeypatch.setitem(NATURAL, card.name, card)
        write_keras_3(published, vgg)  # other bytes, the same tensors
        assert load_weights(backbone, "auto", "vgg16").name == card.name
        write_keras_3(published, vgg | {"block1_conv1/bias:0": np.ones(64, "f4")})
        with pytest.raises(UserError, match=r"is not 'vgg16-imagenet-keras': its tensors have the SHA-256"):
            load_weights(backbone, "auto", "vgg16")
