"""Weights load whole and right, or are refused by name without running anything."""

from __future__ import annotations

import pickle
import socket
import threading
import time
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from sklearn.datasets import load_sample_image

from cxrlens.data import download as reach
from cxrlens.errors import UserError
from cxrlens.models.backbones.timm_family import build_backbone
from cxrlens.models.classifier import ModelOptions, build_classifier
from cxrlens.models.weights import find as hub
from cxrlens.models.weights import store
from cxrlens.models.weights.cards import CARDS


@pytest.fixture
def tensors() -> dict[str, torch.Tensor]:
    torch.manual_seed(1)
    backbone = build_backbone("resnet18", 64)
    result = {name: torch.randn_like(each) if each.is_floating_point() else each
             for name, each in backbone.network.state_dict().items()}  # fmt: skip
    return result | {"fc.weight": torch.zeros(1000, 512), "fc.bias": torch.zeros(1000)}


def loaded(folder: Path, tensors: dict[str, torch.Tensor]):
    save_file(tensors, folder / "w.safetensors")
    backbone = build_backbone("resnet18", 64)
    before = backbone.network.conv1.weight.clone()
    try:
        store.load_weights(backbone, "w.safetensors", "resnet18", study_dir=folder)
    except UserError:
        assert torch.equal(backbone.network.conv1.weight, before), "a refused file must change nothing"
        raise
    return backbone


def test_every_tensor_arrives_and_the_classifier_is_left_out(tmp_path: Path, tensors) -> None:
    state = loaded(tmp_path, tensors).network.state_dict()
    assert set(tensors) - set(state) == {"fc.weight", "fc.bias"}
    assert all(torch.equal(each, tensors[name]) for name, each in state.items())


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda t: t.pop("layer1.0.conv1.weight"), r"1 missing \(layer1.0.conv1.weight"),
        (lambda t: t.update({"layer9.weight": torch.zeros(1)}), r"1 left over \(layer9.weight"),
        (lambda t: t.update({"bn1.bias": torch.zeros(3)}), r"1 of another shape \(bn1.bias"),
    ],
)
def test_a_partial_or_foreign_file_is_refused_by_name(tmp_path: Path, tensors, spoil, told: str) -> None:
    spoil(tensors)
    with pytest.raises(UserError, match=told):
        loaded(tmp_path, tensors)


def test_a_truncated_file_is_refused(tmp_path: Path, tensors) -> None:
    save_file(tensors, tmp_path / "whole.safetensors")
    (tmp_path / "cut.safetensors").write_bytes((tmp_path / "whole.safetensors").read_bytes()[:5000])
    with pytest.raises(UserError, match="not a complete safetensors file"):
        store.read_tensors(tmp_path / "cut.safetensors")


def test_a_hostile_pickle_is_refused_and_nothing_in_it_runs(tmp_path: Path) -> None:
    marker = tmp_path / "ran"

    class Hostile:
        def __reduce__(self):
            return (Path.touch, (marker,))

    path = tmp_path / "hostile.pth"
    path.write_bytes(pickle.dumps({"weight": Hostile()}))
    with pytest.raises(UserError, match="nothing in it was run"):
        store.read_tensors(path)
    assert not marker.exists()


def test_a_page_saved_as_weights_is_refused(tmp_path: Path) -> None:
    (tmp_path / "page.pth").write_text("<html>404</html>")
    with pytest.raises(UserError, match="cannot be read as plain tensors"):
        store.read_tensors(tmp_path / "page.pth")


def test_the_wheels_imagenet_weights_see_a_temple_in_a_photograph_of_one() -> None:
    model = build_classifier(
        ModelOptions(name="a row", backbone="tf_efficientnet_lite0", weights="efficientnet-lite0-imagenet"), 224, 0
    ).eval()
    top = store.read_tensors(store.find_weights("efficientnet-lite0-imagenet", "tf_efficientnet_lite0"))
    photograph = np.array(Image.fromarray(load_sample_image("china.jpg")).resize((224, 224)), np.float32) / 255
    with torch.no_grad():
        images = (torch.from_numpy(photograph).permute(2, 0, 1)[None] - model.mean) / model.std
        scores = model.backbone(images).mean((2, 3)) @ top["_fc.weight"].T + top["_fc.bias"]
    temples = {442, 449, 483, 663, 668, 698, 832}  # bell cote, boathouse, castle, monastery, mosque, palace, stupa
    assert len(set(scores[0].topk(5).indices.tolist()) & temples) >= 4


def test_a_swap_of_two_tensors_of_one_shape_is_seen_by_the_known_output() -> None:
    card = CARDS["efficientnet-lite0-imagenet"]
    backbone = build_backbone(card.architecture, 224)
    tensors = store.read_tensors(store.find_weights(card.name, card.architecture))
    names = ["_blocks.6._bn1.weight", "_blocks.6._bn1.bias"]
    tensors[names[0]], tensors[names[1]] = tensors[names[1]], tensors[names[0]]
    store.fill(backbone, tensors, "swapped")
    with pytest.raises(UserError, match="a known image gives"):
        store.check_output(backbone, card)


def test_a_wrong_hash_is_refused(tmp_path: Path, monkeypatch) -> None:
    card = CARDS["efficientnet-lite0-imagenet"]
    whole = store.find_weights(card.name, card.architecture)
    spoilt = tmp_path / "spoilt.pth"
    spoilt.write_bytes(whole.read_bytes() + b" ")
    monkeypatch.setattr(store, "find_weights", lambda *_: spoilt)
    with pytest.raises(UserError, match="SHA-256"):
        store.load_weights(build_backbone(card.architecture, 64), card.name, card.architecture)


def test_weights_for_another_architecture_are_refused() -> None:
    with pytest.raises(UserError, match="are for tf_efficientnet_lite0; this backbone is resnet18"):
        store.load_weights(build_backbone("resnet18", 64), "efficientnet-lite0-imagenet", "resnet18")


def test_a_misspelt_name_and_an_absent_file_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="did you mean 'chexnet'"):
        store.find_weights("chexnt", "densenet121")
    with pytest.raises(UserError, match=r"no weight file gone\.safetensors beside the study"):
        store.find_weights("gone.safetensors", "densenet121", study_dir=tmp_path)


def test_a_file_behind_a_hub_caches_link_is_read_and_a_broken_link_is_named(tmp_path: Path, tensors) -> None:
    snapshot = tmp_path / "models--a--b" / "snapshots" / "c0ffee"
    snapshot.mkdir(parents=True)
    (tmp_path / "models--a--b" / "blobs").mkdir()
    save_file(tensors, tmp_path / "models--a--b" / "blobs" / "0af3")
    (snapshot / "model.safetensors").symlink_to("../../blobs/0af3")
    backbone = build_backbone("resnet18", 64)
    store.load_weights(backbone, "model.safetensors", "resnet18", study_dir=snapshot)
    assert torch.equal(backbone.network.conv1.weight, tensors["conv1.weight"])
    (snapshot / "gone.pth").symlink_to("../../blobs/9bc1")
    with pytest.raises(UserError, match=r"gone\.pth is a link to \.\./\.\./blobs/9bc1, which is not there"):
        store.find_weights("gone.pth", "resnet18", study_dir=snapshot)


def test_weights_that_no_package_carries_say_where_to_put_them(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("CXRLENS_WEIGHTS", str(tmp_path))
    with pytest.raises(hub.OutOfReach, match=f"CheXNet.*{tmp_path}"):
        store.find_weights("chexnet", "densenet121")
    save_file({"a": torch.zeros(1)}, tmp_path / "chexnet.safetensors")
    assert store.find_weights("chexnet", "densenet121") == tmp_path / "chexnet.safetensors"


def test_a_hub_that_never_answers_is_reported_within_seconds(monkeypatch) -> None:
    monkeypatch.setattr(reach, "SECONDS", 0.3)
    monkeypatch.setattr(hub, "try_to_load_from_cache", lambda *_: None)

    def late(*_: object, **__: object) -> None:
        time.sleep(1)
        raise OSError("too late")

    monkeypatch.setattr(socket, "create_connection", late)
    with pytest.raises(hub.OutOfReach, match=r"model hub that is out of reach: fetch model\.safetensors of timm/vgg16"):
        hub.hub_file("vgg16.tv_in1k")


class HubOnThisMachine(BaseHTTPRequestHandler):
    """Answers for one file as a hub does."""

    content = b""

    def do_HEAD(self, body: bool = False) -> None:
        known = self.path == "/timm/resnet18.a1_in1k/resolve/main/model.safetensors"
        self.send_response(200 if known else 404)
        self.send_header("ETag", '"0123456789abcdef"')
        self.send_header("X-Repo-Commit", "a" * 40)
        self.send_header("Content-Length", str(len(self.content) if known else 0))
        self.end_headers()
        if body and known:
            self.wfile.write(self.content)

    def do_GET(self) -> None:
        self.do_HEAD(body=True)

    def log_message(self, *_: object) -> None:
        pass


def test_timms_weights_arrive_from_a_hub_in_reach(tensors, monkeypatch, tmp_path: Path) -> None:
    save_file(tensors, tmp_path / "model.safetensors")
    HubOnThisMachine.content = (tmp_path / "model.safetensors").read_bytes()
    server = ThreadingHTTPServer(("127.0.0.1", 0), HubOnThisMachine)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setattr(hub, "try_to_load_from_cache", lambda *_: None)
    monkeypatch.setattr(hub, "hf_hub_download", partial(hub.hf_hub_download, cache_dir=tmp_path / "hub"))
    try:
        backbone = build_backbone("resnet18", 64)
        loaded = store.load_weights(backbone, "timm", "resnet18.a1_in1k")
        with pytest.raises(hub.OutOfReach, match="could not be fetched"):
            hub.hub_file("resnet34.a1_in1k")
    finally:
        server.shutdown()
        server.server_close()
    assert torch.equal(backbone.network.conv1.weight, tensors["conv1.weight"])
    assert loaded.preprocessing.mean == (0.485, 0.456, 0.406)


def test_a_file_in_the_hubs_cache_needs_no_network(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setattr(hub, "try_to_load_from_cache", lambda repository, file: str(tmp_path / file))
    monkeypatch.setattr(hub, "check_reach", lambda *_: pytest.fail("asked the network"))
    assert hub.hub_file("vgg16.tv_in1k") == tmp_path / "model.safetensors"


def test_a_finished_runs_network_can_start_another(tmp_path: Path) -> None:
    source = build_classifier(ModelOptions(name="a", backbone="resnet18", head="linear"), 64, seed=3)
    save_file(source.state_dict(), tmp_path / "run.safetensors")
    target = build_backbone("resnet18", 64)
    store.load_weights(target, "run.safetensors", "resnet18", study_dir=tmp_path)
    assert torch.equal(target.network.layer4[1].conv2.weight, source.backbone.network.layer4[1].conv2.weight)
