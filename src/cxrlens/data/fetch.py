"""Public data sets at one exact commit, file by file, each verified against the project's own manifest."""

from __future__ import annotations

import csv
import errno
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from urllib.parse import quote

import filelock
import httpx2

from cxrlens.data.download import Refused, Stopped, check_reach, download, git_blob_sha1
from cxrlens.errors import UserError, near_miss

# The data sets that can be fetched, each with the project's own manifest of what it must be.


@dataclass(frozen=True)
class Published:
    """A data set that can be fetched.

    Attributes:
        commit: the version that the manifest describes.
        base_url: where the manifest's paths are found.
        note: what a user must know, such as the licence.
    """

    commit: str
    base_url: str
    note: str


_COVID_COMMIT = "099c10079dfa45d10e0e742df659387c0d71f2ab"
PUBLISHED: Mapping[str, Published] = {
    "covid-chestxray": Published(
        _COVID_COMMIT,
        f"https://raw.githubusercontent.com/ieee8023/covid-chestxray-dataset/{_COVID_COMMIT}/",
        "Each image has its own licence (column license of metadata.csv); some allow no commercial use.",
    )
}


def published(name: str) -> Published:
    """The data set called `name`, or `UserError` with the nearest name."""
    if name not in PUBLISHED:
        raise UserError(near_miss("data set", name, PUBLISHED))
    return PUBLISHED[name]


def manifest(name: str) -> dict[str, str]:
    """Path below the data folder → git blob SHA-1, for every file of a data set."""
    published(name)
    file = resources.files("cxrlens.data") / "manifests" / f"{name}.csv"
    with file.open(encoding="utf-8") as lines:
        return {row["path"]: row["git_blob_sha1"] for row in csv.DictReader(lines)}


Progress = Callable[[int, int, int], None]
"""Told (files settled, files in all, bytes received so far)."""


@dataclass(frozen=True)
class FetchReport:
    """What a fetch did, by path below `folder`.

    Attributes:
        folder: where the files are.
        downloaded: files that came now, each verified.
        already: files that were there and verified.
        failed: file → why it is not there.
    """

    folder: Path
    downloaded: tuple[str, ...]
    already: tuple[str, ...]
    failed: Mapping[str, str] = field(default_factory=dict)

    @property
    def complete(self) -> bool:
        """Whether every file of the manifest is there."""
        return not self.failed


def fetch(
    name: str,
    out: Path,
    base_url: str | None = None,
    progress: Progress | None = None,
    connections: int = 4,
    files: Mapping[str, str] | None = None,
    pause: float = 0.5,
) -> FetchReport:
    """Downloads a data set into `out`; the same call again continues, and skips what is there and verified.

    Args:
        name: of the data set.
        out: the folder; made where it does not exist. A different file that stands there already is left alone and
            reported as failed.
        base_url: a mirror that holds the same files at the same relative paths.
        progress: see `Progress`; called from this thread.
        connections: downloads at a time.
        files: another manifest than the data set's own.
        pause: seconds before the first retry.

    Raises:
        UserError: no such data set, the host is out of reach (told within 5 seconds), the folder cannot be written, the
            disk is full, or another fetch works in the folder.
        KeyboardInterrupt: was pressed; what came so far is kept.
    """
    base = base_url or published(name).base_url
    listed = manifest(name) if files is None else dict(files)
    with _writing(out):
        for folder in {(out / path).parent for path in listed}:
            folder.mkdir(parents=True, exist_ok=True)
        with _locked(out):
            return _fetch(base.rstrip("/") + "/", out, listed, progress or (lambda *_: None), connections, pause)


def _fetch(
    base: str, out: Path, listed: dict[str, str], progress: Progress, connections: int, pause: float
) -> FetchReport:
    already, failed = [], {}
    for path, sha1 in listed.items():
        if (out / path).exists():
            if git_blob_sha1(out / path) == sha1:
                already.append(path)
            else:
                failed[path] = "another file of this name is there; move it away, then run the same command"
    todo = {path: sha1 for path, sha1 in listed.items() if path not in failed and not (out / path).exists()}
    if not todo:
        progress(len(listed), len(listed), 0)
        return FetchReport(out, (), tuple(already), failed)
    check_reach(base)
    stop, received = threading.Event(), _Counter()
    downloaded: list[str] = []
    client = httpx2.Client(timeout=httpx2.Timeout(15, connect=5), follow_redirects=True)
    pool = ThreadPoolExecutor(connections, thread_name_prefix="fetch")
    try:
        pending: dict[Future[None], str] = {
            pool.submit(_one, client, base + quote(path), out / path, sha1, stop, received, pause): path
            for path, sha1 in todo.items()
        }
        while pending:
            done, _ = wait(pending, timeout=0.1, return_when=FIRST_COMPLETED)
            for future in done:
                path = pending.pop(future)
                try:
                    future.result()
                    downloaded.append(path)
                except Refused as error:
                    failed[path] = str(error)
                except Stopped:
                    failed[path] = "not tried: the connection was lost"
                except httpx2.ConnectError as error:
                    stop.set()  # the network is gone: the rest would only wait in vain
                    failed[path] = f"no connection: {error}"
            progress(len(already) + len(downloaded) + len(failed), len(listed), received.total)
    finally:
        stop.set()
        pool.shutdown(cancel_futures=True)
        client.close()
    order = {path: place for place, path in enumerate(listed)}
    ordered = {path: failed[path] for path in sorted(failed, key=order.__getitem__)}
    return FetchReport(out, tuple(sorted(downloaded, key=order.__getitem__)), tuple(already), ordered)


def _one(
    client: httpx2.Client, url: str, target: Path, sha1: str, stop: threading.Event, received: _Counter, pause: float
) -> None:
    if stop.is_set():
        raise Stopped
    download(client, url, target, sha1, stop, received.add, pause)


class _Counter:
    """Bytes received by all threads."""

    def __init__(self) -> None:
        self.total = 0
        self._lock = threading.Lock()

    def add(self, count: int) -> None:
        with self._lock:
            self.total += count


@contextmanager
def _locked(out: Path):
    lock = filelock.FileLock(out / ".fetch.lock", timeout=0)
    try:
        with lock:
            yield
    except filelock.Timeout as error:
        raise UserError(
            f"another fetch is at work in {out}; wait for it, or choose another folder with --out"
        ) from error


@contextmanager
def _writing(out: Path):
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            todo = "free some space and run the same command, it continues"
        else:
            todo = "choose a folder that can be written with --out"
        raise UserError(f"cannot write below {out}: {error.strerror or error}; {todo}") from error
