"""What a drawn figure says, and whether all of it is on the paper."""

from __future__ import annotations

from matplotlib.figure import Figure


def texts(figure: Figure) -> str:
    figure.draw_without_rendering()
    return " | ".join(text.get_text() for text in figure.findobj(lambda part: hasattr(part, "get_text")))


def inside(figure: Figure) -> bool:
    figure.draw_without_rendering()
    whole = figure.get_tightbbox(figure.canvas.get_renderer())
    sides = (whole.x0, whole.y0, figure.get_figwidth() - whole.x1, figure.get_figheight() - whole.y1)
    return min(sides) >= -0.02
