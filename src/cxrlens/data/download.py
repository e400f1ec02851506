"""One verified download: resumed where it stopped, checked against its hash, then renamed into place."""

from __future__ import annotations

import hashlib
import os
import socket
import threading
import urllib.request
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import httpx2

from cxrlens.data.unreadable import describe
from cxrlens.errors import UserError

ATTEMPTS = 4
MAX_BYTES = 256 * 2**20  # no published image is near; a server that never stops sending is


class Refused(Exception):
    """A file that cannot be had, and why; the others go on."""


class Stopped(Exception):
    """The download was told to stop; what came so far is kept for the next time."""


def git_blob_sha1(path: Path) -> str:
    r"""The name that git gives a file's content: `sha1("blob SIZE\0" + content)`, as 40 hexadecimal digits."""
    digest = hashlib.sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False)
    with path.open("rb") as file:
        while chunk := file.read(2**20):
            digest.update(chunk)
    return digest.hexdigest()


def download(
    client: httpx2.Client,
    url: str,
    target: Path,
    expected: str | Callable[[Path], bool],
    stop: threading.Event,
    received: Callable[[int], None],
    pause: float = 0.5,
    most: int = MAX_BYTES,
) -> None:
    """Brings `url` to `target`; nothing stands under the final name before it is verified.

    Args:
        client: with its timeouts set.
        url: of the file.
        target: where it goes; `target.part` beside it holds what came so far.
        expected: the git blob SHA-1 that the content must have, or what says of a file whether it is the right one.
        stop: when set, the download ends at the next chunk.
        received: told the number of bytes of every chunk.
        pause: seconds before the first retry; each later one waits twice as long.
        most: bytes that the file can have.

    Raises:
        Refused: the server says no, sends other content twice, or fails at every attempt.
        Stopped: `stop` was set.
        httpx2.ConnectError: the host cannot be reached, at the last attempt.
        OSError: the disk is full or may not be written.
    """
    part = target.with_name(target.name + ".part")
    wrong, reason = 0, ""
    for attempt in range(1, ATTEMPTS + 1):
        resumed = part.exists() and part.stat().st_size > 0
        wait = pause * 2 ** (attempt - 1)
        try:
            asked = _stream(client, url, part, stop, received, most)
            if asked is None:
                if git_blob_sha1(part) == expected if isinstance(expected, str) else expected(part):
                    part.replace(target)
                    return
                found = _found(part)
                part.unlink()
                wrong += not resumed  # a part that no longer fits says nothing about the server
                if wrong == 2:
                    raise Refused(f"what came is not the published file ({found}); nothing was kept")
                reason = "what came is not the published file"
                continue
            reason, wait = f"the server answers {asked[0]}", max(wait, asked[1])
        except httpx2.ConnectError:
            if attempt == ATTEMPTS:
                raise
            reason = "no connection"
        except (httpx2.TimeoutException, httpx2.TransportError) as error:
            reason = "the server is too slow" if isinstance(error, httpx2.TimeoutException) else f"cut off: {error}"
        if attempt < ATTEMPTS and stop.wait(wait):
            raise Stopped
    raise Refused(f"{reason}, {ATTEMPTS} times")


def _stream(
    client: httpx2.Client, url: str, part: Path, stop: threading.Event, received: Callable[[int], None], most: int
) -> tuple[str, float] | None:
    """Appends to `part` what is still to come; an answer worth another try comes back with the seconds to wait."""
    have = part.stat().st_size if part.exists() else 0
    # identity: a range of a compressed answer would be no range of the file
    headers = {"Accept-Encoding": "identity", **({"Range": f"bytes={have}-"} if have else {})}
    with client.stream("GET", url, headers=headers) as answer:
        if answer.status_code == 416:  # the part is whole already, or longer than the file
            return None
        if answer.status_code in (408, 429) or answer.status_code >= 500:
            return f"{answer.status_code} {answer.reason_phrase}".strip(), _retry_after(answer)
        if answer.status_code not in (200, 206):
            raise Refused(f"the server answers {answer.status_code} {answer.reason_phrase}".strip())
        continues = answer.status_code == 206 and answer.headers.get("Content-Range", "").startswith(f"bytes {have}-")
        if answer.status_code == 206 and not continues:
            part.unlink(missing_ok=True)
            return "206 with another range than asked for", 0.0
        with part.open("ab" if continues else "wb") as file:
            for chunk in answer.iter_bytes():
                if stop.is_set():
                    raise Stopped
                file.write(chunk)
                received(len(chunk))
                if file.tell() > most:
                    part.unlink()
                    raise Refused(f"more than {most >> 20} MiB came; this is not the published file")
            file.flush()
            os.fsync(file.fileno())
    return None


def _retry_after(answer: httpx2.Response) -> float:
    said = answer.headers.get("Retry-After", "")
    return min(float(said), 30.0) if said.isdigit() else 0.0


def _found(part: Path) -> str:
    with part.open("rb") as file:
        start = file.read(512)
    kind = describe(start)
    return f"{part.stat().st_size:,} bytes" + (f", {kind}" if start.lstrip()[:1] == b"<" else "")


# Whether a host can be reached, told within 5 seconds.

SECONDS = 4.5
ADVICE = (
    "check the connection, or name a mirror with --base-url URL, "
    "or copy the data set from a machine that has it and study that folder with --data PATH"
)


def check_reach(base: str, advice: str = ADVICE) -> None:
    """Raises `UserError` when the host of `base` is out of reach; a resolver alone may take half a minute to say so.

    Args:
        base: an http or https address.
        advice: what to do where it is out of reach.

    Raises:
        UserError: it is no such address, or no connection to its host was made within `SECONDS`.
    """
    parts = urlsplit(base)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UserError(f"'{base}' is no address to fetch from; needed: http(s)://HOST/FOLDER")
    if parts.scheme in urllib.request.getproxies() and not urllib.request.proxy_bypass(parts.hostname):
        return  # the proxy resolves the name
    address = (parts.hostname, parts.port or {"http": 80, "https": 443}[parts.scheme])
    reason = ["no answer"]

    def look() -> None:
        try:
            socket.create_connection(address, timeout=SECONDS).close()
            reason[0] = ""
        except OSError as error:
            reason[0] = error.strerror or str(error)

    probe = threading.Thread(target=look, daemon=True)
    probe.start()
    probe.join(SECONDS)
    if reason[0]:
        raise UserError(f"cannot reach {parts.hostname} ({reason[0]}): {advice}")
