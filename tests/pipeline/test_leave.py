"""A real run's page with every name replaced, and the tables that a run leaves."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import cxrlens
from cxrlens.report.export import TABLES


def test_a_runs_page_names_nobody_once_it_is_renamed(finished: cxrlens.Run, tmp_path: Path) -> None:
    run = cxrlens.Run.open(shutil.copytree(finished.folder.path, tmp_path / "run"))
    names = {*run.cohort["image"], *run.cohort["patient"]}
    for images in (True, False):
        text = run.report(images=images, names=False).read_text(encoding="utf-8")
        words = re.sub(r"[A-Za-z0-9+/=]{60,}", "", text)  # pictures, in which a short name may stand by chance
        assert len(words) > 10_000 and not [name for name in names if name in words]


def test_a_run_leaves_its_tables(finished: cxrlens.Run) -> None:
    written = {path.name for path in (finished.folder.path / "tables").iterdir()}
    assert written == {f"{name}.{kind}" for name in TABLES for kind in ("csv", "md", "tex")}
