"""Downloads public data sets of a fixed commit; each file is verified against a manifest of this package."""

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

# The data sets that can be downloaded; `manifests/` lists the files of each.


@dataclass(frozen=True)
class Published:
    """A data set that can be downloaded.

    Attributes:
        commit: version that the manifest describes.
        base_url: address that the paths of the manifest are relative to.
        note: sentence that the user must know, such as on the licence.
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
    """The data set of a name.

    Raises:
        UserError: there is no such data set; the message gives the nearest name.
    """
    if name not in PUBLISHED:
        raise UserError(near_miss("data set", name, PUBLISHED))
    return PUBLISHED[name]


def manifest(name: str) -> dict[str, str]:
    """The files of a data set: path below the data folder → git blob SHA-1."""
    published(name)
    file = resources.files("cxrlens.data") / "manifests" / f"{name}.csv"
    with file.open(encoding="utf-8") as lines:
        return {row["path"]: row["git_blob_sha1"] for row in csv.DictReader(lines)}


Progress = Callable[[int, int, int], None]
"""Called with (files done, files in all, bytes received so far)."""


@dataclass(frozen=True)
class FetchReport:
    """Result of a download of a data set; files are paths below `folder`.

    Attributes:
        folder: folder of the files.
        downloaded: files that were downloaded now and verified.
        already: files that existed before and were verified.
        failed: file → why it is missing.
    """

    folder: Path
    downloaded: tuple[str, ...]
    already: tuple[str, ...]
    failed: Mapping[str, str] = field(default_factory=dict)

    @property
    def complete(self) -> bool:
        """Whether all files of the manifest exist."""
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
    """Downloads a data set into `out`; a repeated call continues and skips verified files.

    Args:
        name: name of the data set.
        out: folder of the files; created if it does not exist. An existing file with other content is kept and reported
            as failed.
        base_url: address of a mirror with the same files at the same relative paths.
        progress: function called with the progress (see `Progress`), from this thread.
        connections: number of simultaneous downloads.
        files: manifest to use instead of the data set's own.
        pause: seconds before the first retry.

    Raises:
        UserError: there is no such data set, the host cannot be reached (checked within 5 seconds), the folder cannot
            be written, the disk is full, or another download uses the folder.
        KeyboardInterrupt: the user interrupted; the files received so far are kept.
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
                failed[path] = "another file with this name exists; move it away, then run the same command"
    pending_files = {path: sha1 for path, sha1 in listed.items() if path not in failed and not (out / path).exists()}
    if not pending_files:
        progress(len(listed), len(listed), 0)
        return FetchReport(out, (), tuple(already), failed)
    check_reach(base)
    stop, received = threading.Event(), _Counter()
    downloaded: list[str] = []
    client = httpx2.Client(timeout=httpx2.Timeout(15, connect=5), follow_redirects=True)
    pool = ThreadPoolExecutor(connections, thread_name_prefix="fetch")
    try:
        pending: dict[Future[None], str] = {
            pool.submit(_download_one, client, base + quote(path), out / path, sha1, stop, received, pause): path
            for path, sha1 in pending_files.items()
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
                    stop.set()  # without a network the other files would fail too
                    failed[path] = f"no connection: {error}"
            progress(len(already) + len(downloaded) + len(failed), len(listed), received.total)
    finally:
        stop.set()
        pool.shutdown(cancel_futures=True)
        client.close()
    order = {path: position for position, path in enumerate(listed)}
    ordered = {path: failed[path] for path in sorted(failed, key=order.__getitem__)}
    return FetchReport(out, tuple(sorted(downloaded, key=order.__getitem__)), tuple(already), ordered)


def _download_one(
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
        raise UserError(f"another download uses {out}; wait for it, or choose another folder with --out") from error


@contextmanager
def _writing(out: Path):
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            advice = "free some space and run the same command: it continues"
        else:
            advice = "choose a folder that can be written with --out"
        raise UserError(f"cannot write below {out}: {error.strerror or error}; {advice}") from error
