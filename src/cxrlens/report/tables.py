"""Table 1 beside the paper's numbers, and every pair of models: as data frames, for the terminal and as Markdown."""

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
from cxrlens.text import interval, number, p_value

# What is said below Table 1: which weights a row got, and what they were given that they were not made for.


def weight_note_sentences(results: Mapping[str, Any]) -> list[str]:
    """A sentence a model in another's place, one whose weights are a stand-in or of "auto", one that overrides theirs.

    Args:
        results: `results.json`.
    """
    told = (_place, _taken, _overridden)
    found = (tell(model) for model in results["models"] for tell in told)
    return [sentence for sentence in found if sentence]


def _place(model: Mapping[str, Any]) -> str:
    other = model.get("instead_of")
    return f"{model['name']}: in place of '{other}', whose weights are not on this machine" if other else ""


def _taken(model: Mapping[str, Any]) -> str:
    weights = model.get("weights", {})
    name, asked = weights.get("name"), weights.get("asked")
    if asked in (None, name):
        return ""
    if asked == "auto":
        return f"{model['name']}: 'auto' came to '{name}', the best in reach"
    return f"{model['name']}: '{asked}' is not on this machine; '{name}' stands in"


def _overridden(model: Mapping[str, Any]) -> str:
    changed = model.get("overridden", [])
    if not changed:
        return ""
    weights = model["weights"]
    images = "[0, 1] images" if "preprocessing" in changed else "images"
    at = f" at {weights['size']}" if weights["size"] else ""
    on = f" on {weights['input'] or _formula(weights['preprocessing'])}" if "preprocessing" in changed else ""
    return f"{model['name']}: given {images} at {model['size']}, where its weights were trained{at}{on}"


def _formula(preprocessing: Mapping[str, Any]) -> str:
    mean, std = (", ".join(f"{each:g}" for each in preprocessing[key]) for key in ("mean", "std"))
    return f"(x - [{mean}]) / [{std}]"


Cells = tuple[list[str], list[list[str]]]
ANEW = "with other trainings"


def table1(results: Mapping[str, Any]) -> pd.DataFrame:
    """A row a model, NaN where unknown; a model that was not run has the paper's numbers only.

    Columns: model, parameters, trainable_parameters, seeds, auc, auc_low, auc_high (by patients), auc_train_low,
    auc_train_high (over patients and trainings), auc_seed_sd, rough (5 to 9 patients of a class), reason (why there is
    no interval), paper_auc, paper_low, paper_high (Hanley and McNeil, where the study gives the paper's
    numbers of images).
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
    whole = dict.fromkeys(table.columns[1:4], "Int64")
    told = {"rough": "boolean", "reason": "string"}
    return table.astype(dict.fromkeys(table.columns[4:], float) | whole | told)


def comparisons_table(results: Mapping[str, Any]) -> pd.DataFrame:
    """A row a pair of models, NaN where unknown.

    Columns: a, b, difference, low, high, p, p_holm (by patients), train_low, train_high, train_p, train_p_holm (over
    patients and trainings), reason (why there is no interval).
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
    """What the terminal shows: warnings, Table 1, how it was made, of what, what was not run, the pairs, who won."""
    parts: list[RenderableType] = [
        Text(f"warning: {sentence}", style="yellow") for sentence in results.get("warnings", [])
    ]
    parts.append(Fitted("Table 1", *table1_cells(results)))
    parts.append(Text(how_judged(results), style="dim"))
    parts += [Text(sentence, style="yellow") for sentence in weight_note_sentences(results)]
    parts += [Text(f"not run: {row['name']}: {row['reason']}", style="yellow") for row in results.get("skipped", [])]
    if results.get("comparisons"):
        parts.append(Fitted("Every pair of models", *comparison_cells(results)))
    if results.get("winner"):
        parts.append(Text(results["winner"]["sentence"], style="bold"))
    parts.append(Text("For research only; never for diagnosis.", style="dim"))
    return parts


def to_markdown(results: Mapping[str, Any]) -> str:
    """The same, as Markdown."""
    parts = [f"> {markdown_text(sentence)}" for sentence in results.get("warnings", [])]
    parts += [markdown_table(*table1_cells(results)), how_judged(results)]
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
    again = over_trainings(results)
    header = ["model", "trained", "seeds", f"AUC [{percent(results)}]", *([ANEW] if again else []), "the paper"]
    rows = []
    for model in [*results["models"], *results.get("skipped", [])]:
        ends = paper_interval(model)
        shown = number(model.get("paper_auc"), 3) + (f" {interval(*ends)}" if ends else "")
        if model.get("auc") is None:
            rows.append([model["name"], "–", "–", "not run", *(["–"] if again else []), shown])
            continue
        trained = model.get("trainable_parameters")
        folds = model.get("folds", 1)
        seeds = str(model["seeds"]) if folds == 1 else f"{model['seeds']} × {folds} folds"
        anew = [interval(model.get("auc_train_low"), model.get("auc_train_high"))] if again else []
        rows.append([model["name"], "–" if trained is None else f"{trained:,}", seeds, estimate(model), *anew, shown])
    return (header, rows) if _names_the_paper(results) else (header[:-1], [row[:-1] for row in rows])


def _names_the_paper(results: Mapping[str, Any]) -> bool:
    return any(row.get("paper_auc") is not None for row in [*results["models"], *results.get("skipped", [])])


def comparison_cells(results: Mapping[str, Any]) -> Cells:
    """Every pair of models as text: header and rows."""
    again = any(pair.get("train_p") is not None for pair in results["comparisons"])
    header = ["AUC of a − b", f"difference [{percent(results)}]", "p", "p (Holm)"]
    header += [ANEW, "p (Holm)"] if again else []
    rows = []
    for pair in results["comparisons"]:
        gap = f"{pair['difference']:+.3f} {interval(pair['low'], pair['high'])}"
        row = [f"{pair['a']} − {pair['b']}", gap, *(p_value(pair.get(key)) for key in ("p", "p_holm"))]
        if again:
            row += [interval(pair.get("train_low"), pair.get("train_high")), p_value(pair.get("train_p_holm"))]
        rows.append(row)
    return header, rows


def over_trainings(results: Mapping[str, Any]) -> bool:
    """Whether a model has an interval over patients and trainings."""
    return any(model.get("auc_train_low") is not None for model in results["models"])


def how_judged(results: Mapping[str, Any]) -> str:
    """What the numbers of Table 1 are of, in a few sentences."""
    first, models = results["models"][0], results["models"]
    reason = next((model["reason"] for model in models if model.get("reason")), "")
    sentence = (
        f"AUC on {first['images']} validation images ({first['positive']} positive, {first['negative']} negative) of "
        f"{first['patients']} patients" + (", without an interval." if reason else ", with an interval by patients.")
    )
    if over_trainings(results):
        folds = results.get("evaluation", {}).get("trainings") == "folds"
        sentence += f" “{ANEW}”: the interval over patients and trainings ({'folds' if folds else 'seeds'}) together."
    elif not reason and any(model["seeds"] > 1 for model in models):
        sentence += " Of two seeds: the mean; the interval is of the networks as trained, since it takes 3 to say more."
    if any(model.get("rough") for model in models):
        sentence += " Rough: a class has fewer than 10 patients."
    if reason:
        sentence += f" {reason[0].upper()}{reason[1:]}."
    return sentence + _how_the_paper(results)


def _how_the_paper(results: Mapping[str, Any]) -> str:
    """Sentence about the intervals of the paper's AUCs; "" where no row has an AUC of the paper."""
    rows = [row for row in [*results["models"], *results.get("skipped", [])] if row.get("paper_auc") is not None]
    numbers = {paper_numbers(row) for row in rows if paper_interval(row)}
    if not rows:
        return ""
    if not numbers:
        return " The paper's AUC has no interval: the study does not give its numbers of images."
    counts = (f"{pair[0]} positive and {pair[1]} negative" for pair in sorted(filter(None, numbers)))
    return f" The paper's interval: Hanley-McNeil, {' or '.join(counts)} images."


@dataclass(frozen=True)
class Fitted:
    """A table on one line a row where the terminal is wide enough, else with the intervals below the values."""

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
            table.add_column(Text(name), justify="right" if place else "left", no_wrap=place > 0, overflow="fold")
        for row in self.rows:
            cells = list(map(visible, row))
            if fold:  # brackets in a name are no interval
                cells = [cells[0], *(cell.replace(" [", "\n[") for cell in cells[1:])]
                cells = [cell.replace(" − ", " −\n") for cell in cells]
            table.add_row(*map(Text, cells))
        return table


def markdown_table(header: list[str], rows: list[list[str]], words: bool = False, markup: bool = False) -> str:
    """A Markdown table: its first column to the left, the others to the right, or to the left where they are words.

    Args:
        header: a text a column.
        rows: likewise; shown as it is, unless it is `markup`.
        words: the columns after the first hold words.
        markup: the cells are Markdown already, but for the bars.
    """
    said = [[cell.replace("|", "\\|") if markup else markdown_text(cell) for cell in line] for line in (header, *rows)]
    lines = [said[0], ["---", *["---" if words else "---:"] * (len(header) - 1)], *said[1:]]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def markdown_text(text: str) -> str:
    r"""Text that Markdown shows as it is, on one line; signs that mean nothing where they stand are left alone.

    >>> markdown_text("a|b <i> $x$ _c_ d_e [0.1, 0.2]")
    'a\\|b &lt;i> \\$x\\$ \\_c\\_ d_e [0.1, 0.2]'
    """
    line = " ".join(visible(text.replace("\n", " ")).split())
    line = re.sub(r"[\\`*|$~]|(?<![^\W_])_|_(?![^\W_])|(?<=\])\(", lambda sign: "\\" + sign[0], line)
    return re.sub(r"&(?=#?\w+;)", "&amp;", line).replace("<", "&lt;")
