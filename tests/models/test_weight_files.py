"""Cards, what is in reach, and files that are fetched, added and verified; against a server of our own."""

from __future__ import annotations

import copy
import hashlib
import json
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from cxrlens.cli import main as entry
from cxrlens.data.download import git_blob_sha1
from cxrlens.errors import UserError
from cxrlens.models.backbones.timm_family import build_backbone
from cxrlens.models.weights import find
from cxrlens.models.weights import find as hub
from cxrlens.models.weights import store as accept
from cxrlens.models.weights.cards import CARDS, NATURAL, XRAY
from cxrlens.models.weights.fetch import add_weights, fetch_weights, recognise_card
from cxrlens.models.weights.formats import FORMATS
from cxrlens.models.weights.store import load_weights
from support.published_layouts import keras_arrays, torch_state, write_chexnet, write_keras, write_xrv


@pytest.fixture(scope="module", autouse=True)
def quick() -> Iterator[None]:
    """One DenseNet121 is built and copied: building takes longer than loading."""
    built = build_backbone("densenet121", 64)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            accept, "build_backbone",
            lambda name, size: copy.deepcopy(built) if name == "densenet121" else build_backbone(name, size),
        )  # fmt: skip
        yield


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch) -> Path:
    where = tmp_path / "weights"
    monkeypatch.setenv("CXRLENS_WEIGHTS", str(where))
    monkeypatch.setattr(hub, "try_to_load_from_cache", lambda *_: None)
    return where


@pytest.fixture(scope="module")
def published(tmp_path_factory) -> dict[str, Path]:
    """A file of each source, random inside."""
    made = tmp_path_factory.mktemp("published")
    return {
        "chexnet": write_keras(made / "keras.h5", keras_arrays()),
        "chexnet-pytorch": write_chexnet(made / "model.pth.tar", torch_state(dotted=True)),
        "xrv-nih": write_xrv(made / "some.pt", torch_state(channels=1, outputs=18)),
    }


def put(folder: Path, name: str, source: Path, monkeypatch) -> None:
    """Stores a file under a card's name, and lets the card know its hash."""
    folder.mkdir(exist_ok=True)
    suffix = next(suffix for suffix in find.SUFFIXES if source.name.endswith(suffix))
    (folder / f"{name}{suffix}").write_bytes(source.read_bytes())
    if CARDS[name].git_blob:
        monkeypatch.setitem(XRAY, name, replace(CARDS[name], git_blob=git_blob_sha1(source)))


def test_cards_are_whole() -> None:
    for name, card in CARDS.items():
        assert name == card.name and card.format in FORMATS and card.citation and card.licence and card.source
        assert card.url is None or card.url.startswith("https://")
        assert card.sha256 is None or (set(card.sha256) <= set("0123456789abcdef") and len(card.sha256) in (8, 64))
        assert card.git_blob is None or len(card.git_blob) == 40
        assert all(CARDS[each].architecture == card.architecture for each in card.stand_ins)
        if card.file and card.sha256 and len(card.sha256) == 8:
            assert card.file.endswith(f"-{card.sha256}.pth"), "torchvision's name carries the hash"


def test_the_one_channel_range_is_the_publishers() -> None:
    card, pixels = CARDS["xrv-all"], torch.tensor([0.0, 0.25, 1.0])
    assert ((pixels - card.preprocessing.mean[0]) / card.preprocessing.std[0]).tolist() == [-1024, -512, 1024]


def test_chexnet_is_the_keras_file_or_else_what_stands_in_and_it_says_so(folder, published, monkeypatch) -> None:
    backbone = build_backbone("densenet121", 64)
    put(folder, "xrv-nih", published["xrv-nih"], monkeypatch)
    got = load_weights(backbone, "chexnet", "densenet121")
    assert got.name == "xrv-nih" and "torchxrayvision" in got.title and "'chexnet'" in got.title
    assert got.preprocessing.std == (1 / 2048,) * 3
    put(folder, "chexnet-pytorch", published["chexnet-pytorch"], monkeypatch)
    assert load_weights(backbone, "chexnet", "densenet121").name == "chexnet-pytorch"
    put(folder, "chexnet", published["chexnet"], monkeypatch)
    got = load_weights(backbone, "chexnet", "densenet121")
    assert got.name == "chexnet" and got.title == CARDS["chexnet"].title
    assert got.preprocessing.mean == (0.485, 0.456, 0.406)


def out_of_reach(*_: object) -> None:
    raise UserError("no hub")


def test_auto_takes_the_best_that_is_here_and_says_which(folder, published, monkeypatch) -> None:
    monkeypatch.setattr(hub, "check_reach", out_of_reach)
    with pytest.raises(hub.OutOfReach, match="cxrlens weights fetch chexnet-pytorch"):
        find.find_weights("auto", "densenet121")
    put(folder, "xrv-nih", published["xrv-nih"], monkeypatch)
    assert find.resolve("auto", "densenet121") == "xrv-nih"
    put(folder, "chexnet", published["chexnet"], monkeypatch)
    assert find.resolve("auto", "densenet121") == "chexnet"
    got = load_weights(build_backbone("tf_efficientnet_lite0", 64), "auto", "tf_efficientnet_lite0")
    assert got.name == "efficientnet-lite0-cxr" and "(in reach for 'auto')" in got.title
    with pytest.raises(UserError, match="nobody publishes any for 'benchmark_cnn'"):
        find.resolve("auto", "benchmark_cnn")


def test_a_file_is_recognised_by_what_it_holds_and_stored_under_its_card(tmp_path, folder, published) -> None:
    card, verified = add_weights(published["chexnet"])
    assert card.name == "chexnet" and verified.path == folder / "chexnet.h5" and not verified.hash_checked
    assert verified.path.read_bytes() == published["chexnet"].read_bytes()
    with pytest.raises(UserError, match="exists already"):
        add_weights(published["chexnet"])
    with pytest.raises(UserError, match=r"may be xrv-all or xrv-nih: name its card with --as NAME"):
        add_weights(published["xrv-nih"])
    named = tmp_path / str(CARDS["xrv-nih"].file)
    named.write_bytes(published["xrv-nih"].read_bytes())
    assert recognise_card(named).name == "xrv-nih"
    assert add_weights(published["xrv-nih"], "xrv-nih")[1].path == folder / "xrv-nih.pth"
    assert accept.verify_weights("xrv-nih").format == "xrv_pickle"


def test_a_file_under_the_wrong_card_is_refused_and_not_stored(tmp_path, folder, published) -> None:
    with pytest.raises(UserError, match="is not the published file of 'chexnet-pytorch': git's SHA-1"):
        add_weights(published["chexnet-pytorch"])
    with pytest.raises(UserError, match="takes other inputs than 1 channel"):
        add_weights(published["chexnet"], "xrv-nih")
    imagenet = write_keras(tmp_path / "imagenet.h5", keras_arrays(outputs=1000))
    with pytest.raises(UserError, match="is not 'chexnet': it has 1000 outputs; 14 outputs were needed"):
        add_weights(imagenet)
    arrays = {name: each for name, each in keras_arrays().items() if not name.startswith("predictions")}
    with pytest.raises(UserError, match="no classifier"):
        add_weights(write_keras(tmp_path / "no_top.h5", arrays))
    del arrays["bn/gamma:0"]
    with pytest.raises(UserError, match="no file"):
        add_weights(tmp_path / "gone.h5")
    (tmp_path / "page.h5").write_text("<html>")
    with pytest.raises(UserError, match="web page"):
        add_weights(tmp_path / "page.h5")
    assert not folder.exists() or not any(folder.iterdir())


def test_a_mislabelled_file_in_the_folder_is_refused_when_a_study_wants_it(folder, published) -> None:
    folder.mkdir()
    (folder / "xrv-nih.pth").write_bytes(published["chexnet-pytorch"].read_bytes())
    with pytest.raises(UserError, match="is not 'xrv-nih'"):
        load_weights(build_backbone("densenet121", 64), "xrv-nih", "densenet121")


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, content: bytes) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.content, self.faults, self.ranges = content, [], []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/files/weights.h5"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        fault = self.server.faults.pop(0) if self.server.faults else ""
        if fault.isdigit():
            return self.send_error(int(fault))
        content = b"<!DOCTYPE html>Sign in" if fault == "html" else self.server.content
        expected = self.headers.get("Range", "")
        start = int(expected.removeprefix("bytes=").rstrip("-")) if expected and fault != "html" else 0
        self.server.ranges.append(start)
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        self.wfile.write(content[start : len(content) // 2 if fault == "cut" else None])

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server(published) -> Iterator[Server]:
    running = Server(published["chexnet"].read_bytes())
    threading.Thread(target=running.serve_forever, args=(0.02,), daemon=True).start()
    yield running
    running.shutdown()
    running.server_close()


def hashed(server: Server, digits: int = 64):
    return replace(CARDS["chexnet"], sha256=hashlib.sha256(server.content).hexdigest()[:digits])


def test_a_fetch_is_resumed_verified_and_not_done_twice(server, folder) -> None:
    server.faults = ["503", "cut"]
    path, came = fetch_weights(hashed(server), server.url, pause=0.01)
    assert came and path == folder / "chexnet.h5" and path.read_bytes() == server.content
    assert server.ranges == [0, len(server.content) // 2]
    assert fetch_weights(hashed(server, 8), server.url) == (path, False)
    assert not list(folder.glob("*.part"))


@pytest.mark.parametrize("with_hash", [True, False])
def test_an_error_page_never_becomes_weights(server, folder, with_hash: bool) -> None:
    server.faults = ["html", "html"]
    card = hashed(server) if with_hash else CARDS["chexnet"]
    with pytest.raises(UserError, match=r"the downloaded file is not the published file.*cxrlens weights add FILE"):
        fetch_weights(card, server.url, pause=0.01)
    assert not [each for each in folder.iterdir() if not each.name.endswith(".lock")]


def test_a_wrong_hash_and_a_missing_file_are_refused(server, folder) -> None:
    with pytest.raises(UserError, match="not the published file"):
        fetch_weights(replace(CARDS["chexnet"], sha256="0" * 64), server.url, pause=0.01)
    server.faults = ["404"]
    with pytest.raises(UserError, match="the server answers 404"):
        fetch_weights(hashed(server), server.url, pause=0.01)
    with pytest.raises(UserError, match="no address is known for the weights 'chexnet'"):
        fetch_weights(CARDS["chexnet"])
    assert not [each for each in folder.iterdir() if not each.name.endswith(".lock")]


def test_a_host_that_cannot_be_reached_is_reported_within_seconds() -> None:
    begun = time.monotonic()
    with pytest.raises(UserError, match=r"cannot reach nowhere\.invalid.*cxrlens weights add FILE"):
        fetch_weights(CARDS["xrv-nih"], "https://nowhere.invalid/file.pt")
    assert time.monotonic() - begun < 5


def command(monkeypatch, capsys, *words: str) -> tuple[int, str, str]:
    monkeypatch.setattr(sys, "argv", ["cxrlens", "weights", *words])
    with pytest.raises(SystemExit) as stopped:
        entry.main()
    output = capsys.readouterr()
    return int(stopped.value.code or 0), output.out, output.err


def test_the_commands_from_nothing_to_verified(server, folder, published, monkeypatch, capsys) -> None:
    code, out, _ = command(monkeypatch, capsys, "list", "--json")
    rows = {row["name"]: row for row in json.loads(out)}
    assert code == 0 and set(rows) == set(CARDS)
    assert set(rows["chexnet"]) == {"name", "architecture", "source", "licence", "available"}
    assert rows["efficientnet-lite0-imagenet"]["available"] and not rows["chexnet"]["available"]
    code, _, output = command(monkeypatch, capsys, "verify", "chexnet")
    assert code == 2 and "not on this machine" in output and "Traceback" not in output
    code, out, _ = command(monkeypatch, capsys, "fetch", "chexnet", "--url", server.url)
    assert code == 0 and "downloaded" in out and "complete (layout keras_h5)" in out
    code, out, _ = command(monkeypatch, capsys, "list", "--json")
    assert {row["name"]: row["available"] for row in json.loads(out)}["chexnet"]
    code, out, _ = command(monkeypatch, capsys, "show", "chexnet")
    assert code == 0 and "none published" in out and str(folder / "chexnet.h5") in out
    code, out, _ = command(monkeypatch, capsys, "add", str(published["xrv-nih"]), "--as", "xrv-nih")
    assert code == 0 and "layout xrv_pickle" in out
    (folder / "chexnet.h5").write_bytes(server.content[:100_000])
    code, _, output = command(monkeypatch, capsys, "verify", "chexnet")
    assert code == 2 and "not a complete HDF5 file" in output


def test_verify_checks_the_hash_and_the_known_output(monkeypatch) -> None:
    name = "efficientnet-lite0-imagenet"
    done = accept.verify_weights(name)
    assert done.hash_checked and done.output_checked and done.tensors == 296
    monkeypatch.setitem(NATURAL, name, replace(CARDS[name], known_output=0.06))
    with pytest.raises(UserError, match="a known image gives"):
        accept.verify_weights(name)
    with pytest.raises(UserError, match="did you mean 'chexnet'"):
        accept.verify_weights("chexnt")


def test_a_file_with_timms_names_has_the_inputs_of_its_card(folder) -> None:
    folder.mkdir()
    save_file(dict(torch_state()), folder / "chexnet.safetensors")
    got = load_weights(build_backbone("densenet121", 64), "chexnet", "densenet121")
    assert got.name == "chexnet" and got.preprocessing == CARDS["chexnet"].preprocessing
