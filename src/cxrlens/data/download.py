"""Downloads a file: resumes where it stopped, verifies the content, and then renames the file to its final name."""

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
MAX_BYTES = 256 * 2**20  # far above any published image; stops a server that never ends


class Refused(Exception):
    """A file that cannot be downloaded, with the reason; other files are not affected."""


class Stopped(Exception):
    """The download was stopped; the part received so far is kept for the next attempt."""


def git_blob_sha1(path: Path) -> str:
    r"""The git blob SHA-1 of a file, `sha1("blob SIZE\0" + content)`, as 40 hexadecimal digits."""
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
    """Downloads `url` to `target`; the final name exists only after verification.

    Args:
        client: HTTP client with timeouts.
        url: address of the file.
        target: path of the file; `target.part` beside it holds an incomplete download.
        expected: git blob SHA-1 of the content, or a function that tells whether a file is the right one.
        stop: event that ends the download at the next chunk.
        received: called with the number of bytes of each chunk.
        pause: seconds before the first retry; each later retry waits twice as long.
        most: largest size of the file in bytes.

    Raises:
        Refused: the server refuses the file, sends other content twice or fails at all attempts.
        Stopped: `stop` was set.
        httpx2.ConnectError: the host cannot be reached at the last attempt.
        OSError: the disk is full or cannot be written.
    """
    part = target.with_name(target.name + ".part")
    wrong_files, reason = 0, ""
    for attempt in range(1, ATTEMPTS + 1):
        resumed = part.exists() and part.stat().st_size > 0
        wait = pause * 2 ** (attempt - 1)
        try:
            retry = _stream(client, url, part, stop, received, most)
            if retry is None:
                if git_blob_sha1(part) == expected if isinstance(expected, str) else expected(part):
                    part.replace(target)
                    return
                content = _description(part)
                part.unlink()
                wrong_files += not resumed  # an outdated part says nothing about the server
                if wrong_files == 2:
                    raise Refused(f"the downloaded file is not the published file ({content}); nothing was kept")
                reason = "the downloaded file is not the published file"
                continue
            reason, wait = f"the server answers {retry[0]}", max(wait, retry[1])
        except httpx2.ConnectError:
            if attempt == ATTEMPTS:
                raise
            reason = "no connection"
        except (httpx2.TimeoutException, httpx2.TransportError) as error:
            reason = (
                "the server is too slow"
                if isinstance(error, httpx2.TimeoutException)
                else f"the connection was lost: {error}"
            )
        if attempt < ATTEMPTS and stop.wait(wait):
            raise Stopped
    raise Refused(f"{reason}, at all {ATTEMPTS} attempts")


def _stream(
    client: httpx2.Client, url: str, part: Path, stop: threading.Event, received: Callable[[int], None], most: int
) -> tuple[str, float] | None:
    """Appends the rest of the file to `part`; returns a temporary failure and the seconds to wait, or None."""
    size = part.stat().st_size if part.exists() else 0
    # identity: a range of a compressed response would not be a range of the file
    headers = {"Accept-Encoding": "identity", **({"Range": f"bytes={size}-"} if size else {})}
    with client.stream("GET", url, headers=headers) as response:
        if response.status_code == 416:  # the part is complete, or longer than the file
            return None
        if response.status_code in (408, 429) or response.status_code >= 500:
            return f"{response.status_code} {response.reason_phrase}".strip(), _retry_after(response)
        if response.status_code not in (200, 206):
            raise Refused(f"the server answers {response.status_code} {response.reason_phrase}".strip())
        continues = response.status_code == 206 and response.headers.get("Content-Range", "").startswith(
            f"bytes {size}-"
        )
        if response.status_code == 206 and not continues:
            part.unlink(missing_ok=True)
            return "206 with another range than requested", 0.0
        with part.open("ab" if continues else "wb") as file:
            for chunk in response.iter_bytes():
                if stop.is_set():
                    raise Stopped
                file.write(chunk)
                received(len(chunk))
                if file.tell() > most:
                    part.unlink()
                    raise Refused(f"the server sends more than {most >> 20} MiB; this is not the published file")
            file.flush()
            os.fsync(file.fileno())
    return None


def _retry_after(response: httpx2.Response) -> float:
    seconds = response.headers.get("Retry-After", "")
    return min(float(seconds), 30.0) if seconds.isdigit() else 0.0


def _description(part: Path) -> str:
    """Size and kind of an unexpected file, for messages."""
    with part.open("rb") as file:
        start = file.read(512)
    kind = describe(start)
    return f"{part.stat().st_size:,} bytes" + (f", {kind}" if start.lstrip()[:1] == b"<" else "")


# Checks within 5 seconds that a host can be reached.

SECONDS = 4.5
ADVICE = (
    "check the connection, or name a mirror with --base-url URL, "
    "or copy the data set from a machine that has it and study that folder with --data PATH"
)


def check_reach(base: str, advice: str = ADVICE) -> None:
    """Checks that a host can be reached, within `SECONDS`: a name resolver alone may take half a minute to fail.

    Args:
        base: http or https address.
        advice: what the user can do if the host cannot be reached.

    Raises:
        UserError: the address is not an http or https address, or its host cannot be reached.
    """
    parts = urlsplit(base)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UserError(f"'{base}' is not an address to download from; give http(s)://HOST/FOLDER")
    if parts.scheme in urllib.request.getproxies() and not urllib.request.proxy_bypass(parts.hostname):
        return  # the proxy resolves the name
    address = (parts.hostname, parts.port or {"http": 80, "https": 443}[parts.scheme])
    reason = ["no answer"]

    def connect() -> None:
        try:
            socket.create_connection(address, timeout=SECONDS).close()
            reason[0] = ""
        except OSError as error:
            reason[0] = error.strerror or str(error)

    probe = threading.Thread(target=connect, daemon=True)
    probe.start()
    probe.join(SECONDS)
    if reason[0]:
        raise UserError(f"cannot reach {parts.hostname} ({reason[0]}): {advice}")
