"""Whether anything was trained."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def nothing_trained(folder: Path) -> Iterator[None]:
    """Within the block no weights and no checkpoint are written below a folder, which need not exist."""
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*.safetensors")}
    yield
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*.safetensors")} == before, "a network was trained"
