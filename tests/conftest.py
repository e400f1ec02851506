"""What every test may use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Decoded images go to a folder of the tests, not to the user's."""
    os.environ["CXRLENS_CACHE"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real X-rays, or a skip that says so."""
    folder = Path(os.environ.get("CXRLENS_SHARED", Path(__file__).parents[1].parent / "shared"))
    if not (folder / "data").is_dir():
        pytest.skip(f"no real X-rays at {folder} (set CXRLENS_SHARED)")
    return folder
