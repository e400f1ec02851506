"""Whether a host can be reached, told within 5 seconds."""

from __future__ import annotations

import socket
import threading
import urllib.request
from urllib.parse import urlsplit

from cxrlens.errors import UserError

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
