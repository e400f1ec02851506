"""Every published layout gives the outputs of its own network; shapes prove nothing."""

from __future__ import annotations

import copy
import pickle
import sys
from functools import cache
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
import torchvision
from safetensors.torch import save_file

from cxrlens.errors import UserError
from cxrlens.models.backbones import Backbone
from cxrlens.models.backbones.timm_family import build_backbone
from cxrlens.models.classifier import ModelOptions, build_classifier
from cxrlens.models.weights.cards import KEY
from cxrlens.models.weights.containers import Contents, read_contents
from cxrlens.models.weights.formats import FORMATS, convert, recognise
from cxrlens.models.weights.formats import keras_h5 as keras_h5_module
from cxrlens.models.weights.store import LoadedWeights, fill, load_weights
from support.published_layouts import (
    keras_arrays,
    keras_forward,
    torch_forward,
    torch_state,
    write_chexnet,
    write_keras,
    write_xrv,
)

SIZE = 72  # halved to 36, 18, 9, 4, 2: the transitions have an odd side to cut


@pytest.fixture(scope="module")
def grey() -> torch.Tensor:
    return torch.rand(1, 1, SIZE, SIZE, generator=torch.Generator().manual_seed(5), dtype=torch.float64)


fresh = cache(lambda architecture: build_backbone(architecture, 64))


@pytest.fixture(scope="module")
def keras_wanted(grey, tmp_path_factory) -> torch.Tensor:
    """What Keras' network gives for the arrays of seed 0."""
    return keras_forward(write_keras(tmp_path_factory.mktemp("keras") / "k.h5", keras_arrays()), imagenet(grey))


def loaded(path: Path, architecture: str = "densenet121") -> tuple[Backbone, LoadedWeights]:
    backbone = copy.deepcopy(fresh(architecture))
    got = load_weights(backbone, path.name, architecture, study_dir=path.parent)
    return backbone.double().eval(), got


def ours(path: Path, grey: torch.Tensor) -> torch.Tensor:
    backbone, got = loaded(path)
    mean, std = (torch.tensor(each, dtype=torch.float64).view(1, 3, 1, 1)
                 for each in (got.preprocessing.mean, got.preprocessing.std))  # fmt: skip
    with torch.no_grad():
        return backbone((grey.expand(-1, 3, -1, -1) - mean) / std)


def imagenet(grey: torch.Tensor) -> torch.Tensor:
    mean, std = torch.tensor([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]], dtype=torch.float64).view(2, 1, 3, 1, 1)
    return (torch.cat([grey] * 3, 1) - mean) / std


def error(result: torch.Tensor, expected: torch.Tensor) -> float:
    assert result.shape == expected.shape and expected.std() > 0.05
    return ((result - expected).norm() / expected.norm()).item()


class TestKeras:
    @pytest.mark.parametrize("name", ["keras.h5", "chexnet.weights.pt"])
    def test_gives_the_outputs_of_keras_own_network(self, tmp_path: Path, grey, keras_wanted, name: str) -> None:
        path = write_keras(tmp_path / name, keras_arrays())
        assert error(ours(path, grey), keras_wanted) < 1e-5

    def test_its_epsilon_is_honoured_also_where_a_study_sets_it(
        self, tmp_path: Path, grey, keras_wanted, monkeypatch
    ) -> None:
        path = write_keras(tmp_path / "k.h5", keras_arrays())
        row = ModelOptions(name="m", backbone="densenet121", weights="k.h5", head="linear", batchnorm_epsilon=1.001e-5)
        model = build_classifier(row, 64, 0, study_dir=tmp_path).double().eval()
        with torch.no_grad():
            assert error(model.features(grey), keras_wanted) < 1e-5
        monkeypatch.setattr(keras_h5_module, "EPSILON", 1e-5)
        assert error(ours(path, grey), keras_wanted) > 3e-5, "this test could not tell"

    def test_a_whole_saved_model_is_read_as_its_weights_are(self, tmp_path: Path) -> None:
        arrays = keras_arrays()
        one, two = write_keras(tmp_path / "a.h5", arrays), write_keras(tmp_path / "b.h5", arrays, whole_model=True)
        first, second = read_contents(one).tensors, read_contents(two).tensors
        assert set(first) == set(second) == set(arrays)

    def test_later_names_of_the_stem_are_known(self, tmp_path: Path) -> None:
        renamed = {name.replace("conv1/", "conv1_"): each for name, each in keras_arrays().items()}
        loaded(write_keras(tmp_path / "k.h5", renamed))

    def test_a_dropped_and_an_unknown_weight_are_named(self, tmp_path: Path) -> None:
        arrays = keras_arrays()
        del arrays["conv3_block7_1_bn/moving_variance:0"]
        with pytest.raises(UserError, match=r"1 missing \(features\.denseblock2\.denselayer7\.norm2\.running_var"):
            loaded(write_keras(tmp_path / "k.h5", arrays))
        arrays = keras_arrays() | {"fc1000/kernel:0": np.zeros((1024, 1000), "f4")}
        with pytest.raises(UserError, match=r"1 left over .fc1000/kernel:0"):
            loaded(write_keras(tmp_path / "l.h5", arrays))

    @pytest.mark.parametrize(
        ("one", "other"),
        [
            ("conv4_block9_1_bn/gamma:0", "conv4_block9_1_bn/moving_variance:0"),
            ("conv2_block1_2_conv/kernel:0", "conv2_block2_2_conv/kernel:0"),
        ],
    )
    def test_a_swap_of_two_weights_of_one_shape_changes_the_outputs(
        self, tmp_path: Path, grey, keras_wanted, one, other
    ) -> None:
        arrays = keras_arrays()
        arrays[one], arrays[other] = arrays[other], arrays[one]
        assert error(ours(write_keras(tmp_path / "swapped.h5", arrays), grey), keras_wanted) > 1e-4

    def test_hdf5_that_is_cut_off_or_no_keras_weights_is_refused(self, tmp_path: Path) -> None:
        whole = write_keras(tmp_path / "k.h5", keras_arrays())
        (tmp_path / "cut.h5").write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
        with pytest.raises(UserError, match=r"cut\.h5 is not a complete HDF5 file"):
            read_contents(tmp_path / "cut.h5")
        with h5py.File(tmp_path / "other.h5", "w") as file:
            file["table"] = [1.0]
        with pytest.raises(UserError, match="not Keras weights"):
            read_contents(tmp_path / "other.h5")

    def test_links_to_other_files_are_not_followed(self, tmp_path: Path) -> None:
        with h5py.File(tmp_path / "secret.h5", "w") as file:
            file["numbers"] = [1.0]
        path = write_keras(tmp_path / "k.h5", {"bn/gamma:0": np.ones(3, "f4")})
        with h5py.File(path, "a") as file:
            del file["bn/bn/gamma:0"]
            file["bn/bn/gamma:0"] = h5py.ExternalLink(str(tmp_path / "secret.h5"), "numbers")
        with pytest.raises(UserError, match="is a link, which is not followed"):
            read_contents(path)


class TestCheXNetPyTorch:
    @pytest.mark.parametrize("legacy", [True, False])
    def test_gives_the_outputs_of_its_own_network(self, tmp_path: Path, grey, legacy: bool) -> None:
        state = torch_state(dotted=True)
        path = write_chexnet(tmp_path / "model.pth.tar", state, legacy)
        assert recognise(read_contents(path)) == "chexnet_pth_tar"
        assert error(ours(path, grey), torch_forward(state, imagenet(grey), dotted=True)) < 1e-6

    def test_a_dropped_key_is_named_and_a_swap_is_seen(self, tmp_path: Path, grey) -> None:
        state = torch_state(dotted=True)
        expected = torch_forward(state, imagenet(grey), dotted=True)
        one, other = (f"features.denseblock3.denselayer{n}.norm.2.running_mean" for n in (5, 6))
        state[one], state[other] = state[other], state[one]
        assert error(ours(write_chexnet(tmp_path / "swapped.pth.tar", state), grey), expected) > 1e-4
        del state[one]
        with pytest.raises(UserError, match=r"1 missing \(features\.denseblock3\.denselayer5\.norm2\.running_mean"):
            loaded(write_chexnet(tmp_path / "dropped.pth.tar", state))


class TestTorchXRayVision:
    @pytest.mark.parametrize("legacy", [True, False])
    def test_a_pickled_module_gives_its_outputs_and_its_classes_are_not_needed(self, tmp_path, grey, legacy) -> None:
        state = torch_state(channels=1, outputs=18)
        path = write_xrv(tmp_path / "nih-best.pt", state, legacy)
        assert "torchxrayvision" not in sys.modules and recognise(read_contents(path)) == "xrv_pickle"
        expected = torch_forward(state, (2 * grey - 1) * 1024)  # datasets.normalize, one channel
        assert error(ours(path, grey), expected) < 1e-6
        assert "torchxrayvision" not in sys.modules

    def test_its_safetensors_gives_the_same(self, tmp_path: Path, grey) -> None:
        state = torch_state(channels=1, outputs=18)
        save_file(dict(state) | {"op_threshs": torch.rand(18)}, tmp_path / "model.safetensors")
        assert recognise(read_contents(tmp_path / "model.safetensors")) == "xrv_state"
        expected = torch_forward(state, (2 * grey - 1) * 1024)
        assert error(ours(tmp_path / "model.safetensors", grey), expected) < 1e-6

    def test_a_dropped_key_is_named_and_a_swap_is_seen(self, tmp_path: Path, grey) -> None:
        state = torch_state(channels=1, outputs=18)
        expected = torch_forward(state, (2 * grey - 1) * 1024)
        one, other = "features.norm0.weight", "features.norm0.running_var"
        state[one], state[other] = state[other], state[one]
        assert error(ours(write_xrv(tmp_path / "swapped.pt", state), grey), expected) > 1e-4
        del state[one]
        save_file(dict(state), tmp_path / "dropped.safetensors")
        with pytest.raises(UserError, match=r"1 missing \(features\.norm0\.weight"):
            loaded(tmp_path / "dropped.safetensors")


class TestTorchvision:
    def test_densenets_dotted_file_gives_the_outputs_of_its_own_network(self, tmp_path: Path, grey) -> None:
        state = torch_state(dotted=True, outputs=1000)
        torch.save(state, tmp_path / "d.pth")
        assert recognise(read_contents(tmp_path / "d.pth")) == "torchvision_pth"
        assert error(ours(tmp_path / "d.pth", grey), torch_forward(state, imagenet(grey), dotted=True)) < 1e-6

    def test_vgg16s_file_gives_the_outputs_of_torchvisions_network(self, tmp_path: Path, grey) -> None:
        features = _vgg_features()
        state = {f"features.{name}": each for name, each in features.state_dict().items()}
        for place, shape in ((0, (4096, 25088)), (3, (4096, 4096)), (6, (1000, 4096))):
            state[f"classifier.{place}.weight"] = torch.zeros(1).expand(shape)
            state[f"classifier.{place}.bias"] = torch.zeros(1).expand(shape[0])
        torch.save(state, tmp_path / "v.pth")
        backbone, got = loaded(tmp_path / "v.pth", "vgg16")
        images = imagenet(grey)
        with torch.no_grad():
            assert error(backbone(images), features.double()(images)) < 1e-6
        assert got.preprocessing.mean == (0.485, 0.456, 0.406)


def _vgg_features() -> torch.nn.Module:
    torch.manual_seed(2)
    features = torchvision.models.vgg.make_layers(torchvision.models.vgg.cfgs["D"])
    for layer in features:
        if isinstance(layer, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(layer.weight)
            torch.nn.init.normal_(layer.bias, std=0.1)
    return features


def test_each_layout_is_claimed_by_one_format_alone(tmp_path: Path) -> None:
    dotted = torch_state(dotted=True, outputs=1000)
    samples = {
        "keras_h5": read_contents(write_keras(tmp_path / "k", {"bn/gamma:0": np.ones(3, "f4")})),
        "chexnet_pth_tar": read_contents(write_chexnet(tmp_path / "c", torch_state(dotted=True))),
        "xrv_pickle": read_contents(write_xrv(tmp_path / "x", torch_state(channels=1))),
        "xrv_state": Contents("safetensors", dict(torch_state(channels=1))),
        "torchvision_pth": Contents("torch", dict(dotted)),
        "efficientnet_lite_pth": Contents("torch", {"_conv_stem.weight": torch.zeros(1)}),
        "cxrlens_run": Contents("safetensors", {"backbone.a": torch.zeros(1), "head.b": torch.zeros(1)}),
        "cxrlens_card": Contents("safetensors", dict(torch_state(channels=1)), {KEY: "{}"}),
        "plain": Contents("torch", dict(torch_state())),
    }
    assert set(samples) == set(FORMATS)
    for name, contents in samples.items():
        assert recognise(contents) == name


def test_what_no_format_has_a_name_for_keeps_its_own_and_is_refused(tmp_path: Path) -> None:
    state = read_contents(write_chexnet(tmp_path / "c", torch_state(dotted=True))).tensors
    with pytest.raises(UserError, match=r"1 left over .features\.new\.weight"):
        fill(fresh("densenet121"), state | {"module.densenet121.features.new.weight": torch.zeros(1)}, "model.pth.tar")


def test_another_architecture_than_the_layouts_is_refused(tmp_path: Path) -> None:
    path = write_chexnet(tmp_path / "c.pth.tar", torch_state(dotted=True))
    with pytest.raises(UserError, match=r"c\.pth\.tar holds a densenet121; this backbone is resnet18"):
        loaded(path, "resnet18")


def test_numbers_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    state = dict(torch_state())
    state["features.norm5.bias"] = torch.full((1024,), torch.nan)
    save_file(state, tmp_path / "nan.safetensors")
    with pytest.raises(UserError, match=r"1 not finite \(features\.norm5\.bias"):
        loaded(tmp_path / "nan.safetensors")


class TestHostile:
    @pytest.mark.parametrize("legacy", [True, False])
    def test_a_module_of_other_classes_is_refused_and_nothing_runs(self, tmp_path: Path, legacy: bool) -> None:
        marker = tmp_path / "ran"

        class Hostile:
            def __reduce__(self):
                return (Path.touch, (marker,))

        for name, thing in (("object", Hostile()), ("hidden", {"state_dict": {"a": torch.zeros(1)}, "x": Hostile()})):
            torch.save(thing, tmp_path / name, _use_new_zipfile_serialization=not legacy)
            with pytest.raises(UserError, match="nothing in it was run"):
                read_contents(tmp_path / name)
        torch.save(torch.nn.LSTM(2, 2), tmp_path / "lstm", _use_new_zipfile_serialization=not legacy)
        with pytest.raises(UserError, match="nothing in it was run"):
            read_contents(tmp_path / "lstm")
        assert not marker.exists()

    def test_an_attack_dressed_as_a_known_module_is_refused(self, tmp_path: Path) -> None:
        marker = tmp_path / "ran"
        body = b"\x80\x02ctorchxrayvision.models\nDenseNet\n)\x81}X\x03\x00\x00\x00cmdcposix\nsystem\nX"
        command = f"touch {marker}".encode()
        body += len(command).to_bytes(4, "little") + command + b"\x85Rsb."
        (tmp_path / "raw.pt").write_bytes(body)
        with pytest.raises(UserError, match="nothing in it was run"):
            read_contents(tmp_path / "raw.pt")
        assert not marker.exists()

    def test_a_module_that_contains_itself_ends_in_a_refusal(self, tmp_path: Path) -> None:
        from cxrlens.models.weights import containers

        record = containers.Record()
        record.state = {"_modules": {"again": record, "twice": record}}
        with pytest.raises(UserError, match="nothing in it was run"):
            containers._module_tensors(record, tmp_path / "loop.pt")

    @pytest.mark.parametrize("name", ["page.h5", "page.pth.tar", "page.safetensors"])
    def test_a_page_and_a_git_pointer_are_called_what_they_are(self, tmp_path: Path, name: str) -> None:
        (tmp_path / name).write_text("\n<!DOCTYPE html><p>Sign in")
        with pytest.raises(UserError, match="web page"):
            read_contents(tmp_path / name)
        (tmp_path / name).write_text("version https://git-lfs.github.com/spec/v1\n")
        with pytest.raises(UserError, match="Git LFS pointer"):
            read_contents(tmp_path / name)

    def test_a_truncated_checkpoint_is_refused(self, tmp_path: Path) -> None:
        whole = write_chexnet(tmp_path / "c", torch_state(dotted=True)).read_bytes()
        (tmp_path / "cut").write_bytes(whole[: len(whole) // 3])
        with pytest.raises(UserError, match="cannot be read as plain tensors"):
            read_contents(tmp_path / "cut")

    def test_pickled_numbers_are_no_weights(self, tmp_path: Path) -> None:
        (tmp_path / "n.pt").write_bytes(pickle.dumps([1, 2, 3]))
        with pytest.raises(UserError):
            read_contents(tmp_path / "n.pt")


def test_converting_twice_changes_nothing() -> None:
    once = convert(Contents("torch", dict(torch_state(channels=1)))).tensors
    twice = convert(Contents("torch", once)).tensors
    assert all(torch.equal(each, twice[name]) for name, each in once.items())
