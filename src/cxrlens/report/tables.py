"""Table 1 and the pairs of models: as data frames, as text cells, for the terminal and as Markdown."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd
from rich import box
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from cxrlens.names import visible
from cxrlens.report.published import paper_interval, paper_numbers
from cxrlens.report.results_text import estimate, percent
from cxrlens.text import interval, many, number, p_value

Cells = tuple[list[str], list[list[str]]]  # a table as text: header, rows
RETRAINING = "incl. retraining"  # header of an interval over patients and trainings
LONGEST_HEADER = len(RETRAINING)  # of a column with numbers in a folded table; a longer header has one word per line


def weight_note_sentences(results: Mapping[str, Any]) -> list[str]:
    """Notes below Table 1 on models that replace others, on weights that the study does not name, and on drawn views.

    A model has a note if it replaces another model, if its weights are a substitute or were selected by "auto", if
    its images differ from those that its weights were trained on, and if its training images had a fixed number of
    drawn views.

    Args:
        results: `results.json`.
    """
    kinds = (_replacement, _selected_weights, _input_override, _views)
    notes = (note(model) for model in results["models"] for note in kinds)
    return [note for note in notes if note]


def _views(model: Mapping[str, Any]) -> str:
    views = model.get("views")
    return (
        f"{model['name']}: was trained on {many(views, 'drawn view')} of each image, the same for all seeds and folds, "
        "and not on a new augmentation at every step"
        if views
        else ""
    )


def _replacement(model: Mapping[str, Any]) -> str:
    other = model.get("instead_of")
    return f"{model['name']}: used in place of '{other}', whose weights are not on this machine" if other else ""


def _selected_weights(model: Mapping[str, Any]) -> str:
    weights = model.get("weights", {})
    name, requested = weights.get("name"), weights.get("asked")
    if requested in (None, name):
        return ""
    if requested == "auto":
        return f"{model['name']}: 'auto' selected '{name}', the best weights on this machine"
    return f"{model['name']}: '{requested}' is not on this machine; '{name}' is used instead"


def _input_override(model: Mapping[str, Any]) -> str:
    changed = model.get("overridden", [])
    if not changed:
        return ""
    weights = model["weights"]
    scaling = trained_scaling = ""
    if "preprocessing" in changed:
        scaling = " in [0, 1]"
        trained_scaling = f" (input: {weights['input'] or _formula(weights['preprocessing'])})"
    trained_size = f" at {weights['size']} pixels" if weights["size"] else ""
    return (
        f"{model['name']}: received images of {model['size']} pixels{scaling}, but its weights were trained"
        f"{trained_size}{trained_scaling}"
    )


def _formula(preprocessing: Mapping[str, Any]) -> str:
    mean, std = (", ".join(f"{value:g}" for value in preprocessing[key]) for key in ("mean", "std"))
    return f"(x - [{mean}]) / [{std}]"


def table1(results: Mapping[str, Any]) -> pd.DataFrame:
    """One row per model, NaN where unknown. A model that was not run has the published numbers only.

    Columns: model, parameters, trainable_parameters, seeds, auc, auc_low, auc_high (interval by patient),
    auc_train_low, auc_train_high (interval over patients and trainings), auc_seed_sd (standard deviation over seeds),
    rough (a class has 5 to 9 patients), reason (why there is no interval), paper_auc, paper_low, paper_high (published
    AUC with the interval of Hanley and McNeil, if the study gives its numbers of images).
    """
    own = [
        "parameters",
        "trainable_parameters",
        "seeds",
        "auc",
        "auc_low",
        "auc_high",
        "auc_train_low",
        "auc_train_high",
        "auc_seed_sd",
        "rough",
        "reason",
    ]
    rows = []
    for model in [*results["models"], *results.get("skipped", [])]:
        values = [model.get(name) for name in own[:-1]] + [model.get(own[-1]) or None]
        rows.append([model["name"], *values, model.get("paper_auc"), *(paper_interval(model) or (None, None))])
    table = pd.DataFrame(rows, columns=pd.Index(["model", *own, "paper_auc", "paper_low", "paper_high"]))
    integers = dict.fromkeys(table.columns[1:4], "Int64")
    others = {"rough": "boolean", "reason": "string"}
    return table.astype(dict.fromkeys(table.columns[4:], float) | integers | others)


def comparisons_table(results: Mapping[str, Any]) -> pd.DataFrame:
    """One row per pair of models, NaN where unknown.

    Columns: a, b, difference (AUC of a minus AUC of b), low, high, p, p_holm (by patient), train_low, train_high,
    train_p, train_p_holm (over patients and trainings), reason (why there is no interval).
    """
    columns = ["a", "b", "difference", "low", "high", "p", "p_holm"]
    columns += ["train_low", "train_high", "train_p", "train_p_holm", "reason"]
    rows = [
        [pair.get(name) for name in columns[:-1]] + [pair.get("reason") or None]
        for pair in results.get("comparisons", [])
    ]
    table = pd.DataFrame(rows, columns=pd.Index(columns))
    return table.astype(dict.fromkeys(columns[2:-1], float) | {"reason": "string"})


def render(results: Mapping[str, Any]) -> list[RenderableType]:
    """The results for the terminal: warnings, Table 1 with notes, models not run, pairs of models, and the winner."""
    parts: list[RenderableType] = [
        Text(f"warning: {sentence}", style="yellow") for sentence in results.get("warnings", [])
    ]
    parts.append(Fitted("Table 1", *table1_cells(results)))
    parts.append(Text(table1_note(results), style="dim"))
    parts += [Text(sentence, style="yellow") for sentence in weight_note_sentences(results)]
    parts += [Text(f"not run: {row['name']}: {row['reason']}", style="yellow") for row in results.get("skipped", [])]
    if results.get("comparisons"):
        parts.append(Fitted("Every pair of models", *comparison_cells(results)))
    if results.get("winner"):
        parts.append(Text(results["winner"]["sentence"], style="bold"))
    parts.append(Text("For research only; never for diagnosis.", style="dim"))
    return parts


def to_markdown(results: Mapping[str, Any]) -> str:
    """The results as Markdown: warnings, Table 1 with notes, models not run, pairs of models, and the winner."""
    parts = [f"> {markdown_text(sentence)}" for sentence in results.get("warnings", [])]
    parts += [markdown_table(*table1_cells(results)), table1_note(results)]
    notes = [f"- {markdown_text(sentence)}" for sentence in weight_note_sentences(results)]
    notes += [f"- Not run: {markdown_text(row['name'] + ': ' + row['reason'])}" for row in results.get("skipped", [])]
    parts += ["\n".join(notes)] if notes else []
    if results.get("comparisons"):
        parts.append(markdown_table(*comparison_cells(results)))
    if results.get("winner"):
        parts.append(f"**{markdown_text(results['winner']['sentence'])}**")
    return "\n\n".join([*parts, "For research only; never for diagnosis."]) + "\n"


def table1_cells(results: Mapping[str, Any]) -> Cells:
    """Table 1 as text: header and rows."""
    retrained = over_trainings(results)
    header = [
        "model",
        "trained parameters",
        "seeds",
        f"AUC [{percent(results)}]",
        *([RETRAINING] if retrained else []),
        "published AUC",
    ]
    rows = []
    for model in [*results["models"], *results.get("skipped", [])]:
        ends = paper_interval(model)
        published = number(model.get("paper_auc"), 3) + (f" {interval(*ends)}" if ends else "")
        if model.get("auc") is None:
            rows.append([model["name"], "–", "–", "not run", *(["–"] if retrained else []), published])
            continue
        trained = model.get("trainable_parameters")
        folds = model.get("folds", 1)
        seeds = str(model["seeds"]) if folds == 1 else f"{model['seeds']} × {folds} folds"
        training_interval = [interval(model.get("auc_train_low"), model.get("auc_train_high"))] if retrained else []
        parameters = "–" if trained is None else f"{trained:,}"
        rows.append([model["name"], parameters, seeds, estimate(model), *training_interval, published])
    return (header, rows) if _has_published(results) else (header[:-1], [row[:-1] for row in rows])


def _has_published(results: Mapping[str, Any]) -> bool:
    return any(row.get("paper_auc") is not None for row in [*results["models"], *results.get("skipped", [])])


def comparison_cells(results: Mapping[str, Any]) -> Cells:
    """All pairs of models as text: header and rows."""
    retrained = any(pair.get("train_p") is not None for pair in results["comparisons"])
    header = ["AUC of a − b", f"difference [{percent(results)}]", "p", "p (Holm)"]
    header += [RETRAINING, "p (Holm)"] if retrained else []
    rows = []
    for pair in results["comparisons"]:
        gap = f"{pair['difference']:+.3f} {interval(pair['low'], pair['high'])}"
        row = [f"{pair['a']} − {pair['b']}", gap, *(p_value(pair.get(key)) for key in ("p", "p_holm"))]
        if retrained:
            row += [interval(pair.get("train_low"), pair.get("train_high")), p_value(pair.get("train_p_holm"))]
        rows.append(row)
    return header, rows


def over_trainings(results: Mapping[str, Any]) -> bool:
    """Whether any model has an interval over patients and trainings."""
    return any(model.get("auc_train_low") is not None for model in results["models"])


def table1_note(results: Mapping[str, Any]) -> str:
    """The note below Table 1: which images and patients the AUCs are from, and what the intervals cover."""
    first, models = results["models"][0], results["models"]
    reasons = [model["reason"] for model in models if model.get("reason")]
    sentences = [
        f"AUC on {first['images']} validation images ({first['positive']} positive, {first['negative']} negative) of "
        f"{first['patients']} patients."
    ]
    if len(reasons) < len(models):
        sentences.append("Intervals are computed by patient.")
    if over_trainings(results):
        source = "folds" if results.get("evaluation", {}).get("trainings") == "folds" else "seeds"
        sentences.append(f"“{RETRAINING}”: interval over patients and trainings ({source}) together.")
    elif not reasons and any(model["seeds"] > 1 for model in models):
        sentences.append(
            "AUCs are means over the seeds. The intervals describe the networks as trained; an interval that includes "
            "retraining needs at least 3 seeds."
        )
    if any(model.get("rough") for model in models):
        sentences.append("“Rough”: a class has fewer than 10 patients.")
    if reasons:
        sentences.append(f"Without interval: {reasons[0]}.")
    return " ".join([*sentences, *_published_note(results)])


def _published_note(results: Mapping[str, Any]) -> list[str]:
    """The sentence about the intervals of published AUCs; none where no row has such an AUC."""
    rows = [row for row in [*results["models"], *results.get("skipped", [])] if row.get("paper_auc") is not None]
    numbers = {paper_numbers(row) for row in rows if paper_interval(row)}
    if not rows:
        return []
    if not numbers:
        return ["Published AUCs have no interval, because the study does not give their numbers of images."]
    counts = (f"{pair[0]} positive and {pair[1]} negative" for pair in sorted(filter(None, numbers)))
    return [f"Published AUCs have the interval of Hanley and McNeil for {' or '.join(counts)} images."]


@dataclass(frozen=True)
class Fitted:
    """A table for the terminal: one line per row if it fits, else with the intervals below the values."""

    title: str
    header: list[str]
    rows: list[list[str]]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        wide = self._table("")
        room = options.update(max_width=10_000)
        yield wide if Measurement.get(console, room, wide).maximum <= options.max_width else self._table("\n")

    def _table(self, fold: str) -> Table:
        table = Table(title=self.title, box=box.SIMPLE_HEAD, title_justify="left", title_style="bold", pad_edge=False)
        table.collapse_padding = bool(fold)
        for place, name in enumerate(map(visible, self.header)):
            if fold and place and len(name) > LONGEST_HEADER:
                name = name.replace(" ", "\n")
            table.add_column(Text(name), justify="right" if place else "left", no_wrap=place > 0, overflow="fold")
        for row in self.rows:
            cells = list(map(visible, row))
            if fold:  # brackets in a model's name are no interval
                cells = [cells[0], *(cell.replace(" [", "\n[") for cell in cells[1:])]
                cells = [cell.replace(" − ", " −\n") for cell in cells]
            table.add_row(*map(Text, cells))
        return table


def markdown_table(header: list[str], rows: list[list[str]], words: bool = False, markup: bool = False) -> str:
    """A Markdown table. Its first column is aligned left; the others are aligned right, or left if they hold words.

    Args:
        header: titles of the columns.
        rows: cells of each row, escaped so that they are shown as they are.
        words: whether the columns after the first hold words, not numbers.
        markup: whether the cells are Markdown already; then only vertical bars are escaped.
    """
    escaped = [
        [cell.replace("|", "\\|") if markup else markdown_text(cell) for cell in line] for line in (header, *rows)
    ]
    lines = [escaped[0], ["---", *["---" if words else "---:"] * (len(header) - 1)], *escaped[1:]]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def markdown_text(text: str) -> str:
    r"""Text on one line, escaped so that Markdown shows it as it is. Signs without a meaning in their place stay.

    >>> markdown_text("a|b <i> $x$ _c_ d_e [0.1, 0.2]")
    'a\\|b &lt;i> \\$x\\$ \\_c\\_ d_e [0.1, 0.2]'
    """
    line = " ".join(visible(text.replace("\n", " ")).split())
    line = re.sub(r"[\\`*|$~]|(?<![^\W_])_|_(?![^\W_])|(?<=\])\(", lambda sign: "\\" + sign[0], line)
    return re.sub(r"&(?=#?\w+;)", "&amp;", line).replace("<", "&lt;")
