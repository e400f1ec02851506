"""Small folders of drawn pictures with a table, as users have them, and a study that is quick to train."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tomlkit
from PIL import Image

import cxrlens

STUDY: dict[str, Any] = {
    "name": "t",
    "data": {"source": "csv_table", "table": "labels.csv"},
    "images": {"size": 32},
    "explain": {"figures": [], "gallery": False},
    "training": {"epochs": 1, "batch": 16},
    "models": [{"name": "bench"}],
}


def folder(path: Path, rows: Sequence[Mapping[str, object]], seed: int = 0) -> Path:
    """Writes `labels.csv` of these rows and a picture of noise for each `image`; positives have a bright band."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    lines = [names, *([str(row.get(name, "")) for name in names] for row in rows)]
    path.mkdir(parents=True, exist_ok=True)
    (path / "labels.csv").write_text("".join(",".join(line) + "\n" for line in lines))
    noise = np.random.default_rng(seed)
    for row in rows:
        pixels = noise.integers(0, 200, (96, 96)).astype(np.uint8)
        pixels[: 30 if row["label"] == 1 else 5] += 50
        (path / str(row["image"])).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path / str(row["image"]))
    return path


def study(**changes: Any) -> cxrlens.Study:
    """The quick study, with other tables where they are given."""
    return cxrlens.Study.of(STUDY | changes)


def study_file(path: Path, **changes: Any) -> Path:
    """The same as a file."""
    path.write_text(tomlkit.dumps(STUDY | changes))
    return path
