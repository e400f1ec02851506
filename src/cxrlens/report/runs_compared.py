"""Runs side by side: as records, for the terminal, as Markdown and as one table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd
from rich.console import RenderableType
from rich.text import Text

from cxrlens.evaluate.comparisons import Comparison
from cxrlens.evaluate.records import plain
from cxrlens.report.results_text import estimate
from cxrlens.report.tables import Cells, Fitted, comparison_cells, markdown_table, markdown_text
from cxrlens.run_folder import SCHEMA_VERSION

LIMITS = (
    "A difference is of the networks as trained, by the patients that both judged; training again would move it, too, "
    "which only an interval with other trainings (3 or more) takes in. AUCs of different images are not comparable "
    "with each other: other images may be easier."
)
NOTICE = "For research only; never for diagnosis."
TITLE = "# Runs side by side"
MOST_SETTINGS = 30  # lines on the terminal
COLUMNS = (
    "what", "model", "run", "against", "value", "low", "high", "p", "p_holm", "train_p", "train_p_holm", "split",
    "seeds", "folds", "images", "patients", "positive", "negative",
)  # fmt: skip


@dataclass(frozen=True)
class ComparedRun:
    """A run as a column.

    Attributes:
        name: its folder's, with as much of the path as tells it from the others.
        study: the study's name.
        split: its kind.
        leaking: validation images of patients who are also in training; None where unknown.
        seeds: of every model.
        folds: of the split.
        images: that were judged, of which `positive` and `negative`.
        patients: theirs.
    """

    name: str
    study: str
    split: str
    leaking: int | None
    seeds: int
    folds: int
    images: int
    patients: int
    positive: int
    negative: int


@dataclass(frozen=True)
class RunAuc:
    """A model's AUC in one run, its interval by patients or why there is none, its spread over seeds (None for one)."""

    model: str
    run: str
    auc: float
    low: float
    high: float
    seed_sd: float | None
    rough: bool = False
    reason: str = ""


@dataclass(frozen=True)
class RunDifference:
    """A model in two runs on the same images: its AUC in `change.a` minus that in `change.b`."""

    model: str
    change: Comparison


@dataclass(frozen=True)
class NotComparable:
    """Two runs whose numbers are not comparable pairwise, and why."""

    a: str
    b: str
    reason: str


@dataclass(frozen=True)
class RunsCompared:
    """Runs side by side.

    Attributes:
        runs: in the order given.
        aucs: a record a model and run, of each run's `results.json`.
        differences: of models that two runs have by one name, on the same images; Holm over all of them.
        apart: the pairs of runs without differences.
        settings: key of the study → its value in each run, where they differ; None where the run has no such key.
        level: of the intervals of the differences.
        notes: what else to know of the differences.
    """

    runs: tuple[ComparedRun, ...]
    aucs: tuple[RunAuc, ...]
    differences: tuple[RunDifference, ...]
    apart: tuple[NotComparable, ...]
    settings: Mapping[str, tuple[Any, ...]]
    level: float
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Plain values: 6 decimals, unknown is None."""
        told = plain(self)
        told["differences"] = [{"model": each["model"], **each["change"]} for each in told["differences"]]
        return {"schema_version": SCHEMA_VERSION, **told, "limits": LIMITS, "notice": NOTICE}

    def table(self) -> pd.DataFrame:
        """A row an AUC, then a row a difference (of `run` minus `against`); NaN where it has no such number."""
        facts = ("split", "seeds", "folds", "images", "patients", "positive", "negative")
        of = {run.name: {name: getattr(run, name) for name in facts} for run in self.runs}
        rows: list[dict[str, Any]] = [
            {"what": "auc", "model": e.model, "run": e.run, "value": e.auc, "low": e.low, "high": e.high, **of[e.run]}
            for e in self.aucs
        ]
        for each in self.differences:
            change, run = each.change, of[each.change.a]
            same = {name: run[name] for name in ("images", "patients", "positive", "negative")}
            numbers = {
                name: getattr(change, name) for name in ("low", "high", "p", "p_holm", "train_p", "train_p_holm")
            }
            told = {"what": "difference", "model": each.model, "run": change.a, "against": change.b}
            rows.append(told | {"value": change.difference} | numbers | same)
        table = pd.DataFrame(rows, columns=pd.Index(COLUMNS))
        return table.astype(dict.fromkeys(COLUMNS[-6:], "Int64") | dict.fromkeys(COLUMNS[4:11], float))


def side_by_side_cells(compared: RunsCompared) -> Cells:
    """What each run judged, then the AUC of every model: header and rows, a column a run."""
    runs = compared.runs
    rows = [
        ["study", *(run.study for run in runs)],
        ["split", *(_split(run) for run in runs)],
        ["validation images", *(f"{run.images} ({run.positive} positive)" for run in runs)],
        ["patients", *(str(run.patients) for run in runs)],
        ["seeds", *(str(run.seeds) for run in runs)],
    ]
    of = {(each.model, each.run): each for each in compared.aucs}
    for model in dict.fromkeys(each.model for each in compared.aucs):
        cells = [of.get((model, run.name)) for run in runs]
        rows.append([model, *(_auc(each) if each else "–" for each in cells)])
    return ["AUC [interval]", *(run.name for run in runs)], rows


def _auc(one: RunAuc) -> str:
    return estimate({"auc": one.auc, "auc_low": one.low, "auc_high": one.high, "rough": one.rough})


def difference_cells(compared: RunsCompared) -> Cells:
    """Every difference on the same images as text: header and rows."""
    told = [plain(each.change) for each in compared.differences]
    header, rows = comparison_cells({"comparisons": told, "evaluation": {"level": compared.level}})
    of = [each.model for each in compared.differences]
    return ["model", "AUC of run − run", *header[1:]], [[name, *row] for name, row in zip(of, rows, strict=True)]


def sentences(compared: RunsCompared) -> list[str]:
    """What is said below the tables."""
    said = [f"{each.a} and {each.b} are not comparable pairwise: {each.reason}." for each in compared.apart]
    if compared.differences:
        many = len(compared.differences)
        said.append(
            f"Differences: on the same images, by patients; Holm over {many} "
            f"{'difference' if many == 1 else 'differences'}."
        )
    without = {f"{each.run}: {each.reason}.": None for each in compared.aucs if each.reason}
    pairs = [each.change for each in compared.differences if each.change.reason]
    without |= {f"{pair.a} − {pair.b}: {pair.reason}.": None for pair in pairs}
    return [*said, *without, *compared.notes, LIMITS]


def render(compared: RunsCompared) -> list[RenderableType]:
    """What the terminal shows."""
    parts: list[RenderableType] = [Fitted("Side by side", *side_by_side_cells(compared))]
    if compared.differences:
        parts.append(Fitted("The same images", *difference_cells(compared)))
    apart = len(compared.apart)
    parts += [Text(line, style="yellow" if place < apart else "dim") for place, line in enumerate(sentences(compared))]
    parts.append(Text(_settings_title(compared), style="bold"))
    lines = [f"  {key}: {' | '.join(map(shown, values))}" for key, values in compared.settings.items()]
    parts += [Text(line) for line in lines[:MOST_SETTINGS]]
    if len(lines) > MOST_SETTINGS:
        parts.append(Text(f"  and {len(lines) - MOST_SETTINGS} more: --json and --out FILE.md have all", style="dim"))
    parts.append(Text(NOTICE, style="dim"))
    return parts


def to_markdown(compared: RunsCompared) -> str:
    """The same, as Markdown."""
    parts = [TITLE, markdown_table(*side_by_side_cells(compared))]
    if compared.differences:
        parts += ["## The same images", markdown_table(*difference_cells(compared))]
    parts.append("\n".join(f"- {markdown_text(sentence)}" for sentence in sentences(compared)))
    parts.append(f"## {_settings_title(compared)}")
    if compared.settings:
        header = ["setting", *(run.name for run in compared.runs)]
        parts.append(markdown_table(header, [[key, *map(shown, row)] for key, row in compared.settings.items()]))
    return "\n\n".join([*parts, NOTICE]) + "\n"


def shown(value: Any) -> str:
    """A setting's value as text; one that is not there is a dash.

    >>> shown(None), shown(True), shown([0, 1]), shown("patient")
    ('–', 'true', '[0, 1]', 'patient')
    """
    if value is None:
        return "–"
    if isinstance(value, bool):
        return str(value).lower()
    return " ".join(str(list(value) if isinstance(value, tuple) else value).split())


def _split(run: ComparedRun) -> str:
    kind = run.split if run.folds == 1 else f"{run.split}, {run.folds} folds"
    return f"{kind} ({run.leaking} images leak)" if run.leaking else kind


def _settings_title(compared: RunsCompared) -> str:
    count = len(compared.settings)
    return f"Settings that differ: {count}" if count else "No setting of the studies differs."
