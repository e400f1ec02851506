"""A comparison of runs: as records, for the terminal, as Markdown and as one table."""

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
from cxrlens.text import many

LIMITS = (
    "A difference describes the networks as trained, on the patients that both runs evaluated. Retraining would change "
    "it, too; only an interval that includes retraining (3 trainings or more) covers that. AUCs on different images "
    "are not comparable, because some images are easier than others."
)
NOTICE = "For research only; never for diagnosis."
TITLE = "# Runs side by side"  # also how `compare --out` recognises a file that it wrote
MOST_SETTINGS = 30  # settings shown on the terminal
COLUMNS = (
    "what", "model", "run", "against", "value", "low", "high", "p", "p_holm", "train_p", "train_p_holm", "split",
    "seeds", "folds", "images", "patients", "positive", "negative",
)  # fmt: skip


@dataclass(frozen=True)
class ComparedRun:
    """One run of a comparison.

    Attributes:
        name: name of its folder, with as much of the path as distinguishes it from the other runs.
        study: name of the study.
        split: kind of the split, such as "patient".
        leaking: number of validation images of patients who are also in the training set; None if unknown.
        seeds: number of seeds of every model.
        folds: number of folds of the split.
        images: number of validation images.
        patients: number of patients of the validation images.
        positive: number of positive validation images.
        negative: number of negative validation images.
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
    """The AUC of a model in one run.

    Attributes:
        model: name of the model.
        run: name of the run.
        auc: AUC on the validation images, between 0 and 1.
        low: lower end of the interval by patient; NaN where `reason` says why.
        high: upper end of the interval by patient; NaN where `reason` says why.
        seed_sd: standard deviation over seeds; None for one seed.
        rough: whether a class has only 5 to 9 patients.
        reason: why there is no interval; "" if there is one.
    """

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
    """A model in two runs on the same images: its AUC in the run `change.a` minus its AUC in the run `change.b`."""

    model: str
    change: Comparison


@dataclass(frozen=True)
class NotComparable:
    """Two runs that have no paired differences, and the reason."""

    a: str
    b: str
    reason: str


@dataclass(frozen=True)
class RunsCompared:
    """A comparison of runs.

    Attributes:
        runs: the runs, in the given order.
        aucs: one record per model and run, from the `results.json` of the runs.
        differences: one record per model that two runs have under the same name, on the same images; `p_holm` is
            corrected for all of them.
        apart: pairs of runs that cannot be compared pairwise.
        settings: key of the study → its value in each run, for values that differ; None if a run has no such key.
        level: confidence level of the intervals of the differences, between 0 and 1.
        notes: further remarks on the differences.
    """

    runs: tuple[ComparedRun, ...]
    aucs: tuple[RunAuc, ...]
    differences: tuple[RunDifference, ...]
    apart: tuple[NotComparable, ...]
    settings: Mapping[str, tuple[Any, ...]]
    level: float
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Plain values with 6 decimals; unknown values are None."""
        values = plain(self)
        values["differences"] = [{"model": row["model"], **row["change"]} for row in values["differences"]]
        return {"schema_version": SCHEMA_VERSION, **values, "limits": LIMITS, "notice": NOTICE}

    def table(self) -> pd.DataFrame:
        """One row per AUC, then one row per difference (`run` minus `against`); NaN where a row has no such value."""
        facts = ("split", "seeds", "folds", "images", "patients", "positive", "negative")
        facts_of = {run.name: {name: getattr(run, name) for name in facts} for run in self.runs}
        rows: list[dict[str, Any]] = []
        for row in self.aucs:
            interval = {"value": row.auc, "low": row.low, "high": row.high}
            rows.append({"what": "auc", "model": row.model, "run": row.run, **interval, **facts_of[row.run]})
        for difference in self.differences:
            change, run = difference.change, facts_of[difference.change.a]
            same = {name: run[name] for name in ("images", "patients", "positive", "negative")}
            numbers = {
                name: getattr(change, name) for name in ("low", "high", "p", "p_holm", "train_p", "train_p_holm")
            }
            pair = {"what": "difference", "model": difference.model, "run": change.a, "against": change.b}
            rows.append(pair | {"value": change.difference} | numbers | same)
        table = pd.DataFrame(rows, columns=pd.Index(COLUMNS))
        return table.astype(dict.fromkeys(COLUMNS[-6:], "Int64") | dict.fromkeys(COLUMNS[4:11], float))


def side_by_side_cells(compared: RunsCompared) -> Cells:
    """The images of each run, then the AUC of every model: header and rows, with one column per run."""
    runs = compared.runs
    rows = [
        ["study", *(run.study for run in runs)],
        ["split", *(_split(run) for run in runs)],
        ["validation images", *(f"{run.images} ({run.positive} positive)" for run in runs)],
        ["patients", *(str(run.patients) for run in runs)],
        ["seeds", *(str(run.seeds) for run in runs)],
    ]
    by_model_and_run = {(row.model, row.run): row for row in compared.aucs}
    for model in dict.fromkeys(row.model for row in compared.aucs):
        aucs = [by_model_and_run.get((model, run.name)) for run in runs]
        rows.append([model, *(_auc(auc) if auc else "–" for auc in aucs)])
    return ["AUC [interval]", *(run.name for run in runs)], rows


def _auc(row: RunAuc) -> str:
    return estimate({"auc": row.auc, "auc_low": row.low, "auc_high": row.high, "rough": row.rough})


def difference_cells(compared: RunsCompared) -> Cells:
    """All differences on the same images as text: header and rows."""
    changes = [plain(difference.change) for difference in compared.differences]
    header, rows = comparison_cells({"comparisons": changes, "evaluation": {"level": compared.level}})
    models = [difference.model for difference in compared.differences]
    return ["model", "AUC of run − run", *header[1:]], [[name, *row] for name, row in zip(models, rows, strict=True)]


def sentences(compared: RunsCompared) -> list[str]:
    """The notes below the tables."""
    notes = [f"{pair.a} and {pair.b} cannot be compared pairwise: {pair.reason}." for pair in compared.apart]
    if compared.differences:
        notes.append(
            "Differences are on the same images, with intervals by patient and Holm's correction over "
            f"{many(len(compared.differences), 'difference')}."
        )
    # A dictionary, so that each reason is given once.
    missing = {f"{row.run}: {row.reason}.": None for row in compared.aucs if row.reason}
    changes = [difference.change for difference in compared.differences if difference.change.reason]
    missing |= {f"{change.a} − {change.b}: {change.reason}.": None for change in changes}
    return [*notes, *missing, *compared.notes, LIMITS]


def render(compared: RunsCompared) -> list[RenderableType]:
    """The comparison for the terminal."""
    parts: list[RenderableType] = [Fitted("Runs", *side_by_side_cells(compared))]
    if compared.differences:
        parts.append(Fitted("Differences on the same images", *difference_cells(compared)))
    warnings = len(compared.apart)  # the first sentences
    parts += [
        Text(sentence, style="yellow" if index < warnings else "dim")
        for index, sentence in enumerate(sentences(compared))
    ]
    parts.append(Text(_settings_title(compared), style="bold"))
    lines = [f"  {key}: {' | '.join(map(setting_text, values))}" for key, values in compared.settings.items()]
    parts += [Text(line) for line in lines[:MOST_SETTINGS]]
    if len(lines) > MOST_SETTINGS:
        parts.append(Text(f"  and {len(lines) - MOST_SETTINGS} more; --json and --out FILE.md show all", style="dim"))
    parts.append(Text(NOTICE, style="dim"))
    return parts


def to_markdown(compared: RunsCompared) -> str:
    """The comparison as Markdown."""
    parts = [TITLE, markdown_table(*side_by_side_cells(compared))]
    if compared.differences:
        parts += ["## Differences on the same images", markdown_table(*difference_cells(compared))]
    parts.append("\n".join(f"- {markdown_text(sentence)}" for sentence in sentences(compared)))
    parts.append(f"## {_settings_title(compared)}")
    if compared.settings:
        header = ["setting", *(run.name for run in compared.runs)]
        parts.append(markdown_table(header, [[key, *map(setting_text, row)] for key, row in compared.settings.items()]))
    return "\n\n".join([*parts, NOTICE]) + "\n"


def setting_text(value: Any) -> str:
    """The value of a setting as text; a dash if the study has no such setting.

    >>> setting_text(None), setting_text(True), setting_text([0, 1]), setting_text("patient")
    ('–', 'true', '[0, 1]', 'patient')
    """
    if value is None:
        return "–"
    if isinstance(value, bool):
        return str(value).lower()
    return " ".join(str(list(value) if isinstance(value, tuple) else value).split())


def _split(run: ComparedRun) -> str:
    split = run.split if run.folds == 1 else f"{run.split}, {run.folds} folds"
    return f"{split} ({many(run.leaking, 'image', 'leak')})" if run.leaking else split


def _settings_title(compared: RunsCompared) -> str:
    count = len(compared.settings)
    return f"Settings that differ: {count}" if count else "The studies have the same settings."
