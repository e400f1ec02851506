"""Last stage: `report.html`, from the run's files alone."""

from __future__ import annotations

from pathlib import Path

from cxrlens.files import write_text
from cxrlens.report.html import CAPTIONS, page
from cxrlens.run_folder import RunFolder


def write_report(run: RunFolder) -> Path:
    """Writes the page.

    Args:
        run: with `results.json`; `explain.json` and figures where there are some.

    Returns:
        Where it is.

    Raises:
        UserError: the run is not finished, or a file of it is damaged.
    """
    explained = run.read_json("explain.json") if (run.path / "explain.json").exists() else None
    files = {name: run.path / "figures" / f"{name}.png" for name in CAPTIONS}
    pictures = {name: file.read_bytes() for name, file in files.items() if file.exists()}
    path = run.path / "report.html"
    write_text(path, page(run.read_json("results.json"), explained, pictures))
    return path
