"""Writes measurements into `results.json`, and all of its rows as a table at the end of `RESULTS.md`.

A row of the file is `{"name", "ours", "peer", "unit", "ratio", "hardware", "versions"}`. `ratio` is the peer's time
over ours, so above 1 cxrlens is faster; `peer` and `ratio` are null where nothing was compared. With
`ONEDNN_MAX_CPU_ISA=AVX2` in the environment, both sides compute as on a processor without AVX-512, and the rows have
names of their own, such as "grad_cam/AVX2".
"""

from __future__ import annotations

import json
import os
import platform
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch

import cxrlens
from cxrlens.files import write_text

HERE = Path(__file__).parent
START, END = "<!-- results -->", "<!-- /results -->"
LIMIT = "ONEDNN_MAX_CPU_ISA"  # of both sides' oneDNN: AVX2 is what most desktop processors have
KEYS = ("name", "ours", "peer", "unit", "ratio", "hardware", "versions")


def hardware(threads: int = 1) -> str:
    """The processor in words, such as "AMD EPYC with AVX-512, 1 thread of 2 cores"."""
    model, flags = platform.processor() or platform.machine(), ""
    if (facts := Path("/proc/cpuinfo")).exists():
        text = facts.read_text(encoding="utf-8")
        names = re.findall(r"^model name\s*: (.*)$", text, re.M)
        model, flags = names[0] if names else model, text
    vectors = next((title for flag, title in (("avx512f", "AVX-512"), ("avx2", "AVX2")) if flag in flags), "")
    if limit := os.environ.get(LIMIT):
        vectors = f"{vectors}, limited to {limit}"
    number = f"{threads} thread" + ("" if threads == 1 else "s")
    return f"{model}{f' with {vectors}' if vectors else ''}, {number} of {os.cpu_count()} cores"


def record(
    rows: Iterable[Mapping[str, Any]],
    results: Path = HERE / "results.json",
    page: Path = HERE / "RESULTS.md",
    threads: int = 1,
) -> list[dict[str, Any]]:
    """Merges rows into the file by their names, writes the table, and prints the new rows.

    Args:
        rows: `name`, `ours`, `unit`; `peer` where there is one; `versions` of the peer's packages, to which those of
            cxrlens and torch are added; `hardware` where it is not this machine's processor.
        results: the file of all rows.
        page: Markdown file with the two markers, between which the table goes; they are added where it has none.
        threads: number of threads of the measurement.

    Returns:
        All rows of the file, by name.
    """
    known = {row["name"]: row for row in json.loads(results.read_text(encoding="utf-8"))} if results.exists() else {}
    for new in rows:
        peer, limit = new.get("peer"), os.environ.get(LIMIT)
        new = {**new, "name": f"{new['name']}/{limit}"} if limit else new
        own = {"cxrlens": cxrlens.__version__, "torch": torch.__version__}
        complete = {"hardware": hardware(threads), **new, "peer": _rounded(peer), "ours": _rounded(new["ours"])}
        complete["ratio"] = _rounded(peer / new["ours"]) if peer else None
        complete["versions"] = own | dict(new.get("versions", {}))
        known[new["name"]] = {key: complete[key] for key in KEYS}
        print(_line(known[new["name"]]), flush=True)
    merged = [known[name] for name in sorted(known)]
    write_text(results, json.dumps(merged, indent=1, ensure_ascii=False) + "\n")
    write_text(page, with_table(page.read_text(encoding="utf-8") if page.exists() else "", merged))
    return merged


def with_table(text: str, rows: Iterable[Mapping[str, Any]]) -> str:
    """A page whose part between the markers is the table of the rows; the rest is as it was."""
    rows = list(rows)
    lines = [
        "## Speed against the peers",
        "",
        "Written by the scripts in `benchmarks/`, each of which says how it measures; both sides in turn, in one run.",
        "The ratio is the peer's time over ours: above 1, cxrlens is faster.",
        "",
        "| | cxrlens | peer | unit | ratio |",
        "| --- | ---: | ---: | --- | ---: |",
        *[_line(row) for row in rows],
        "",
        *sorted({f"{_where(row)}." for row in rows}),
    ]
    section = "\n".join([START, *lines, END])
    if START in text and END in text:
        before, rest = text.split(START, 1)
        return before + section + rest.split(END, 1)[1]
    return text.rstrip("\n") + f"\n\n{section}\n" if text.strip() else section + "\n"


def _line(row: Mapping[str, Any]) -> str:
    values = ["–" if row[key] is None else f"{row[key]:g}" for key in ("ours", "peer")]
    ratio = "–" if row["ratio"] is None else f"{row['ratio']:.3g}"
    return f"| {row['name']} | {values[0]} | {values[1]} | {row['unit']} | {ratio} |"


def _where(row: Mapping[str, Any]) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in sorted(row["versions"].items()))
    return f"- {row['hardware']}: {versions}"


def _rounded(value: float | None) -> float | None:
    """Three significant digits: no measurement of time has more."""
    return None if value is None else float(f"{value:.3g}")
