"""A matplotlib figure whose texts are what they say: no sign of a name is mathematics, markup or a secret mark."""

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

# Fonts that have what matplotlib's own lacks, where the machine has them.
MORE_FONTS = (
    "Noto Sans CJK JP", "Noto Sans CJK SC", "Noto Sans CJK KR", "Source Han Sans", "WenQuanYi Zen Hei",
    "WenQuanYi Micro Hei", "Microsoft YaHei", "SimHei", "PingFang SC", "Hiragino Sans", "Yu Gothic", "MS Gothic",
    "Malgun Gothic", "Noto Sans", "Noto Sans Arabic", "Noto Sans Hebrew", "Noto Sans Devanagari", "Noto Sans Thai",
    "Nirmala UI", "Leelawadee UI", "Noto Sans Symbols", "Noto Sans Symbols 2", "Symbola", "Segoe UI Symbol",
    "Arial Unicode MS", "Unifont",
)  # fmt: skip
SHOWN = "\u200b"  # before a legend's label that begins with "_", which matplotlib would hide; taken away when drawn


class LiteralFigure(Figure):
    r"""A figure that draws every text sign by sign.

    matplotlib takes what stands between two `$` for mathematics. Signs that no font of this machine has are drawn as
    their escapes, such as `\u80ba`: two models whose names have none in common with the font stay apart.
    """

    def draw(self, renderer: Any) -> None:
        """Draws it, its texts made literal."""
        for axis in self.findobj(Axis):
            _make_ticks_literal(axis)
        for text in self.findobj(Text):
            _make_literal(text)
        super().draw(renderer)


def labelled(name: str) -> str:
    """A name as the label of a line, shown in the legend whatever it begins with."""
    return SHOWN + name if name.startswith("_") else name


def without_font(names: Iterable[str]) -> list[str]:
    """The signs of names that no font of this machine has, in order."""
    signs = {sign for name in names for sign in name if not sign.isascii()}
    return sorted(sign for sign in signs if not _family(sign))


def _make_literal(text: Artist) -> None:
    assert isinstance(text, Text)
    text.set_parse_math(False)
    said = text.get_text()
    drawn = _drawn(said)
    more = {family for sign in drawn if not sign.isascii() and (family := _family(sign)) != _own()}
    if more:
        text.set_fontfamily([_own(), *sorted(more)])
    if drawn != said:
        text.set_text(drawn)


def _make_ticks_literal(axis: Artist) -> None:
    """The texts of ticks are set anew from their formatter whenever they are drawn."""
    assert isinstance(axis, Axis)
    formatter: Any = axis.get_major_formatter()
    if not hasattr(formatter, "literal"):
        formatter.literal = formatter.format_ticks
        formatter.format_ticks = lambda values: [_drawn(text) for text in formatter.literal(values)]
    axis.get_majorticklabels()  # sets them


def _drawn(text: str) -> str:
    if text.isascii() and text.isprintable():
        return text
    lines = (visible(line.removeprefix(SHOWN)) for line in text.split("\n"))
    return "\n".join("".join(sign if _family(sign) else escape(sign) for sign in line) for line in lines)


def escape(sign: str) -> str:
    """A sign's code, as a figure shows it where no font has the sign."""
    return sign.encode("unicode_escape").decode("ascii")


@functools.cache
def _own() -> str:
    return next(iter(rcParams["font.sans-serif"]), "DejaVu Sans")


@functools.cache
def _fonts() -> dict[str, Any]:
    files = {entry.name: entry.fname for entry in font_manager.fontManager.ttflist}
    names = [_own(), *(name for name in MORE_FONTS if name in files)]
    return {name: font_manager.get_font(files[name]) for name in names if name in files}


@functools.cache
def _family(sign: str) -> str:
    """The first font that has a sign; "" where none has."""
    if sign.isascii():
        return _own()
    return next((name for name, font in _fonts().items() if font.get_char_index(ord(sign))), "")
