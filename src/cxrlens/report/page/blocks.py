"""What a section is made of: paragraphs, tables, figures, notes. The template knows these and nothing of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from cxrlens.report.page.encode import picture_uri
from cxrlens.report.reading import Reading
from cxrlens.report.tables import Cells

LONG = 14  # rows, above which a table starts folded


@dataclass(frozen=True)
class Words:
    """Paragraphs; `look` is "plain", "soft", "warning" or "list"."""

    sentences: Sequence[str]
    look: str = "plain"
    kind: ClassVar[str] = "words"


@dataclass(frozen=True)
class Answers:
    """Short titles with a sentence each, and a look: "main", "doubt" or "": the first thing that is read."""

    rows: Sequence[tuple[str, str, str]]
    kind: ClassVar[str] = "answers"


@dataclass(frozen=True)
class Table:
    """A table with its caption; one that is `folded` opens on a click."""

    caption: str
    cells: Cells
    folded: bool = False
    kind: ClassVar[str] = "table"

    @property
    def looks(self) -> list[str]:
        """For each column "number", "text", or "long" text; numbers stand right, text left."""
        columns = list(zip(*self.cells[1], strict=True)) or [()] * len(self.cells[0])
        return ["text", *(_look(column) for column in columns[1:])]


@dataclass(frozen=True)
class Figure:
    """A picture: its data URI, what a reader who can't see it is told, and what is written below."""

    source: str
    alt: str
    caption: str
    kind: ClassVar[str] = "figure"


@dataclass(frozen=True)
class Pair:
    """Figures beside each other, where there is room."""

    figures: Sequence[Figure]
    kind: ClassVar[str] = "pair"


@dataclass(frozen=True)
class Note:
    """One of the audit's parts: `name`, `auc`, `headline`, `flags`, `points`, `next`."""

    told: Mapping[str, Any]
    kind: ClassVar[str] = "note"


@dataclass(frozen=True)
class Verbatim:
    """Text as it is, folded."""

    title: str
    text: str
    kind: ClassVar[str] = "verbatim"


@dataclass(frozen=True)
class Island:
    """The gallery's data as JSON that is safe inside a page, and the names for its selectors."""

    data: str
    models: Sequence[str]
    methods: Sequence[tuple[str, str]]
    lungs: bool
    kind: ClassVar[str] = "island"


Block = Words | Answers | Table | Figure | Pair | Note | Verbatim | Island


@dataclass(frozen=True)
class Section:
    """One section of the page."""

    id: str
    title: str
    blocks: Sequence[Block]


def _look(column: Sequence[str]) -> str:
    if all(cell[:1] in "0123456789+-−–<" for cell in column):  # "" is, too
        return "number" if any(column) else "text"
    return "long" if max(map(len, column)) > 42 else "text"


def table(caption: str, cells: Cells, folded: bool | None = None) -> Table:
    """A table, folded where it is long unless said otherwise."""
    return Table(caption, cells, len(cells[1]) > LONG if folded is None else folded)


def figure(reading: Reading, name: str, alt: str, caption: str) -> list[Figure]:
    """The figure of a name, or nothing where the run has none.

    Args:
        reading: the run's files.
        name: of the figure's file.
        alt: what it shows, with its numbers where it has few.
        caption: what is written below.
    """
    if name not in reading.pictures:
        return []
    return [Figure(picture_uri(reading.pictures[name]), alt, caption)]
