"""Fetching, against a server of our own that misbehaves in every way we know."""

from __future__ import annotations

import hashlib
import os
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote

import filelock
import pytest
import typer
from typer.testing import CliRunner

from cxrlens.cli.data import fetch as fetch_command
from cxrlens.data import download as download_module
from cxrlens.data import fetch as fetching
from cxrlens.data.download import git_blob_sha1
from cxrlens.data.fetch import PUBLISHED, fetch, manifest
from cxrlens.errors import UserError

NAME = "covid-chestxray"
CONTENT = {
    "metadata.csv": b"filename\n" + b"x" * 500,
    "images/a b@2x.png": bytes(range(256)) * 800,
    "images/c.jpg": b"jpeg" * 5000,
}


def blob(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


MANIFEST = {path: blob(content) for path, content in CONTENT.items()}


class Server(ThreadingHTTPServer):
    """Serves `CONTENT`; `faults` says for a path how each of its next answers goes wrong."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.faults: dict[str, list[str]] = {}
        self.asked: Counter[str] = Counter()
        self.ranges: list[tuple[str, str]] = []
        self.sent = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        path = unquote(self.path.lstrip("/"))
        content, expected = CONTENT[path], self.headers.get("Range")
        self.server.asked[path] += 1
        if expected:
            self.server.ranges.append((path, expected))
        fault = self.server.faults[path].pop(0) if self.server.faults.get(path) else ""
        if fault.isdigit():
            return self.send_error(int(fault))
        if fault == "html":
            content, expected = b"<!DOCTYPE html><p>Sign in", None
        if fault == "wrong":
            content = content[:-1] + b"?"
        start = 0
        if expected and fault != "no range":
            start = int(expected.removeprefix("bytes=").rstrip("-"))
            if start >= len(content):
                return self.send_error(416)
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        else:
            self.send_response(200)
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        body = content[start:]
        self.wfile.write(body[: len(body) // 2] if fault == "cut" else body)
        self.server.sent += len(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def run(server: Server, out: Path, **options: object) -> fetching.FetchReport:
    return fetch(NAME, out, server.url, files=MANIFEST, pause=0.01, **options)


def assert_whole(out: Path) -> None:
    for path, content in CONTENT.items():
        assert (out / path).read_bytes() == content
    assert not list(out.rglob("*.part"))


def test_the_blob_name_is_gits(tmp_path: Path) -> None:
    (tmp_path / "hello").write_bytes(b"hello\n")  # `echo hello | git hash-object --stdin`
    assert git_blob_sha1(tmp_path / "hello") == "ce013625030ba8dba906f756967f9e9ca394464a"


def test_every_file_comes_is_verified_and_is_not_asked_for_again(server: Server, tmp_path: Path) -> None:
    calls: list[tuple[int, int, int]] = []
    report = run(server, tmp_path, progress=lambda *now: calls.append(now))
    assert report.downloaded == tuple(MANIFEST) and report.already == () and report.complete
    assert_whole(tmp_path)
    assert calls[-1] == (3, 3, sum(map(len, CONTENT.values())))
    again = run(server, tmp_path)
    assert again.already == tuple(MANIFEST) and again.downloaded == ()
    assert max(server.asked.values()) == 1


def test_a_file_that_the_server_lacks_is_named_and_the_others_come(server: Server, tmp_path: Path) -> None:
    server.faults["images/c.jpg"] = ["404"]
    report = run(server, tmp_path)
    assert report.failed == {"images/c.jpg": "the server answers 404 Not Found"} and len(report.downloaded) == 2
    assert server.asked["images/c.jpg"] == 1, "asking again would not help"
    assert run(server, tmp_path).complete


@pytest.mark.parametrize("code", ["500", "503", "429"])
def test_a_server_that_stumbles_is_asked_again(server: Server, tmp_path: Path, code: str) -> None:
    server.faults["images/c.jpg"] = [code, code]
    assert run(server, tmp_path).complete
    assert server.asked["images/c.jpg"] == 3


def test_a_server_that_keeps_failing_is_given_up(server: Server, tmp_path: Path) -> None:
    server.faults["images/c.jpg"] = ["502"] * 9
    assert run(server, tmp_path).failed == {"images/c.jpg": "the server answers 502 Bad Gateway, at all 4 attempts"}
    assert server.asked["images/c.jpg"] == 4


def test_a_body_cut_off_is_continued_where_it_stopped(server: Server, tmp_path: Path) -> None:
    path = "images/a b@2x.png"
    server.faults[path] = ["cut"]
    assert run(server, tmp_path).complete
    assert server.ranges == [(path, f"bytes={len(CONTENT[path]) // 2}-")]
    assert_whole(tmp_path)


def test_a_part_from_an_earlier_run_is_continued(server: Server, tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "c.jpg.part").write_bytes(CONTENT["images/c.jpg"][:1000])
    assert run(server, tmp_path).complete
    assert server.ranges == [("images/c.jpg", "bytes=1000-")]
    assert_whole(tmp_path)


def test_a_server_that_ignores_ranges_is_read_from_the_start(server: Server, tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "c.jpg.part").write_bytes(CONTENT["images/c.jpg"][:1000])
    server.faults["images/c.jpg"] = ["no range"]
    assert run(server, tmp_path).complete
    assert server.asked["images/c.jpg"] == 1
    assert_whole(tmp_path)


@pytest.mark.parametrize("part", [b"not its beginning", CONTENT["images/c.jpg"], CONTENT["images/c.jpg"] + b"more"])
def test_a_part_that_does_not_fit_or_is_whole_does_no_harm(server: Server, tmp_path: Path, part: bytes) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "c.jpg.part").write_bytes(part)
    assert run(server, tmp_path).complete
    assert_whole(tmp_path)


def test_a_part_that_does_not_fit_is_not_held_against_the_server(server: Server, tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "c.jpg.part").write_bytes(b"not its beginning")
    server.faults["images/c.jpg"] = ["", "wrong"]
    assert run(server, tmp_path).complete
    assert server.asked["images/c.jpg"] == 3


@pytest.mark.parametrize(("fault", "message"), [("wrong", "20,000 bytes"), ("html", "25 bytes, an HTML page")])
def test_other_content_is_named_and_never_kept(server: Server, tmp_path: Path, fault: str, message: str) -> None:
    server.faults["images/c.jpg"] = [fault] * 9
    reason = run(server, tmp_path).failed["images/c.jpg"]
    assert reason.startswith(f"the downloaded file is not the published file ({message}")
    assert [path.name for path in (tmp_path / "images").iterdir()] == ["a b@2x.png"]


def test_a_different_file_of_the_users_is_left_alone(server: Server, tmp_path: Path) -> None:
    (tmp_path / "metadata.csv").write_text("mine")
    report = run(server, tmp_path)
    assert "move it away" in report.failed["metadata.csv"] and len(report.downloaded) == 2
    assert (tmp_path / "metadata.csv").read_text() == "mine"


def test_an_interruption_keeps_what_came_and_the_same_call_continues(server: Server, tmp_path: Path) -> None:
    def interrupt(settled: int, *_: int) -> None:
        if settled == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(server, tmp_path, progress=interrupt, connections=1)
    for path in CONTENT:  # whatever has its final name is whole
        assert not (tmp_path / path).exists() or (tmp_path / path).read_bytes() == CONTENT[path]
    report = run(server, tmp_path)
    assert report.complete and report.already
    assert_whole(tmp_path)


def test_a_host_that_no_one_knows_is_told_within_five_seconds(tmp_path: Path) -> None:
    began = time.monotonic()
    with pytest.raises(UserError, match=r"cannot reach nowhere\.invalid \(.*\): check the connection, .*--base-url"):
        fetch(NAME, tmp_path, "http://nowhere.invalid/", files=MANIFEST)
    assert time.monotonic() - began < 5


def test_a_resolver_that_hangs_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hang = threading.Event()

    def resolve(*_: object, **__: object) -> None:
        hang.wait(30)
        raise OSError

    monkeypatch.setattr(socket, "create_connection", resolve)
    monkeypatch.setattr(download_module, "SECONDS", 0.05)
    with pytest.raises(UserError, match=r"cannot reach host\.invalid \(no answer\)"):
        fetch(NAME, tmp_path, "https://host.invalid", files=MANIFEST)
    hang.set()


def test_a_connection_lost_on_the_way_stops_the_rest(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetching, "check_reach", lambda base: None)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    report = fetch(NAME, tmp_path, f"http://127.0.0.1:{port}/", files=MANIFEST, connections=1, pause=0.001)
    assert not report.downloaded and len(report.failed) == 3
    assert {reason.split(":")[0] for reason in report.failed.values()} == {"no connection", "not tried"}


def test_an_address_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is not an address to download from"):
        fetch(NAME, tmp_path, "ftp://mirror/x", files=MANIFEST)


def test_a_full_disk_is_told_and_leaves_nothing_under_a_final_name(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UserError, match="No space left on device; free some space and run the same command"):
        run(server, tmp_path)
    assert not any((tmp_path / path).exists() for path in CONTENT)


def test_a_place_that_cannot_be_written_is_told(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="choose a folder that can be written with --out"):
        run(server, tmp_path / "file")


def test_two_fetches_do_not_share_a_folder(server: Server, tmp_path: Path) -> None:
    with filelock.FileLock(tmp_path / ".fetch.lock"), pytest.raises(UserError, match="another download uses"):
        run(server, tmp_path)


def test_the_manifest_is_the_papers_commit(shared: Path) -> None:
    listed = manifest(NAME)
    assert len(listed) == 344 and all(len(sha1) == 40 for sha1 in listed.values())
    assert "099c10079dfa45d10e0e742df659387c0d71f2ab" in PUBLISHED[NAME].base_url
    root = shared / "data" / "covid-chestxray-2020-05-04"
    assert git_blob_sha1(root / "metadata.csv") == listed["metadata.csv"]
    for line in (root / "git_blobs.csv").read_text().splitlines()[1:]:
        name, sha1 = line.rsplit(",", 1)
        assert listed[f"images/{name}"] == sha1


def test_an_unknown_data_set_is_answered_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="did you mean 'covid-chestxray'"):
        fetch("covid-chestxrays", tmp_path)


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> typer.Typer:
    monkeypatch.setattr(fetching, "manifest", lambda name: MANIFEST)
    app = typer.Typer()
    app.command()(fetch_command)
    return app


def test_the_command_says_what_it_did_and_what_is_missing(server: Server, tmp_path: Path, command: typer.Typer) -> None:
    arguments = [NAME, "--out", str(tmp_path), "--base-url", server.url]
    server.faults["images/c.jpg"] = ["404"]
    result = CliRunner().invoke(command, arguments)
    assert result.exit_code == 1
    assert "images/c.jpg: the server answers 404" in result.output and "1 missing file;" in result.output
    result = CliRunner().invoke(command, arguments)
    assert result.exit_code == 0 and "1 file downloaded, 2 already there, all verified" in result.output


def test_a_command_interrupted_says_that_the_same_command_continues(
    server: Server, tmp_path: Path, command: typer.Typer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(fetching, "fetch", interrupted)
    result = CliRunner().invoke(command, [NAME, "--out", str(tmp_path)])
    assert result.exit_code == 130 and "the same command continues" in result.output
