"""A matplotlib figure that draws every text literally: no character of a name is read as mathematics or markup."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import Any

from matplotlib import font_manager, rcParams
from matplotlib.artist import Artist
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.text import Text

from cxrlens.names import visible

# Fonts with characters that matplotlib's own font lacks; those installed on the machine are used.
MORE_FONTS = (
    "Noto Sans CJK JP", "Noto Sans CJK SC", "Noto Sans CJK KR", "Source Han Sans", "WenQuanYi Zen Hei",
    "WenQuanYi Micro Hei", "Microsoft YaHei", "SimHei", "PingFang SC", "Hiragino Sans", "Yu Gothic", "MS Gothic",
    "Malgun Gothic", "Noto Sans", "Noto Sans Arabic", "Noto Sans Hebrew", "Noto Sans Devanagari", "Noto Sans Thai",
    "Nirmala UI", "Leelawadee UI", "Noto Sans Symbols", "Noto Sans Symbols 2", "Symbola", "Segoe UI Symbol",
    "Arial Unicode MS", "Unifont",
)  # fmt: skip
VISIBLE_MARK = "\u200b"  # before a legend label that begins with "_", which matplotlib would hide; not drawn


class LiteralFigure(Figure):
    r"""A figure that draws every text literally.

    matplotlib reads text between two `$` as mathematics. Characters that no font of this machine has are drawn as
    escapes such as `\u80ba`, so that the names of two models never look alike.
    """

    def draw(self, renderer: Any) -> None:
        """Draws the figure with literal texts."""
        for axis in self.findobj(Axis):
            _make_ticks_literal(axis)
        for text in self.findobj(Text):
            _make_literal(text)
        super().draw(renderer)


def labelled(name: str) -> str:
    """A name as the label of a line; the legend shows it even if it begins with "_"."""
    return VISIBLE_MARK + name if name.startswith("_") else name


def without_font(names: Iterable[str]) -> list[str]:
    """Characters of names that no font of this machine has, sorted."""
    characters = {char for name in names for char in name if not char.isascii()}
    return sorted(char for char in characters if not _family(char))


def _make_literal(text: Artist) -> None:
    assert isinstance(text, Text)
    text.set_parse_math(False)
    original = text.get_text()
    literal = _literal(original)
    families = {family for char in literal if not char.isascii() and (family := _family(char)) != _default_family()}
    if families:
        text.set_fontfamily([_default_family(), *sorted(families)])
    if literal != original:
        text.set_text(literal)


def _make_ticks_literal(axis: Artist) -> None:
    """Wraps the formatter of an axis, since matplotlib sets the texts of ticks from it at every drawing."""
    assert isinstance(axis, Axis)
    formatter: Any = axis.get_major_formatter()
    if not hasattr(formatter, "literal"):
        formatter.literal = formatter.format_ticks
        formatter.format_ticks = lambda values: [_literal(text) for text in formatter.literal(values)]
    axis.get_majorticklabels()  # sets them


def _literal(text: str) -> str:
    if text.isascii() and text.isprintable():
        return text
    lines = (visible(line.removeprefix(VISIBLE_MARK)) for line in text.split("\n"))
    return "\n".join("".join(char if _family(char) else escape(char) for char in line) for line in lines)


def escape(char: str) -> str:
    """Escape of a character, which figures show where no font has the character."""
    return char.encode("unicode_escape").decode("ascii")


@functools.cache
def _default_family() -> str:
    return next(iter(rcParams["font.sans-serif"]), "DejaVu Sans")


@functools.cache
def _fonts() -> dict[str, Any]:
    files = {entry.name: entry.fname for entry in font_manager.fontManager.ttflist}
    names = [_default_family(), *(name for name in MORE_FONTS if name in files)]
    return {name: font_manager.get_font(files[name]) for name in names if name in files}


@functools.cache
def _family(char: str) -> str:
    """The first font that has a character; "" where none has it."""
    if char.isascii():
        return _default_family()
    return next((name for name, font in _fonts().items() if font.get_char_index(ord(char))), "")
