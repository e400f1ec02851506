"""The devices: one row a site, with its format, tone curve, noise and lettering."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Site:
    """How one hospital's images look.

    Attributes:
        name: in tables.
        aspect: height of an image relative to its width.
        low: share of the body darker than black (0 to 1).
        high: share of the body darker than white.
        gamma: of the tone curve; below 1 is brighter.
        toe: how far the tone curve bends into an S, 0 to 1.
        flatten: how much of the large-scale brightness is taken out.
        sharpen: gain of fine detail.
        photons: mean count behind air, for one pixel of a 256-pixel image; fewer is noisier.
        veil: grey added to black, as in a photographed film.
        letters: style of the side marker: "plain", "box" or "round".
        text: what is printed in a corner: any of "view", "date", "name".
        border: probability of a visible collimator edge.
    """

    name: str
    aspect: float
    low: float
    high: float
    gamma: float
    toe: float
    flatten: float
    sharpen: float
    photons: float
    veil: float
    letters: str
    text: tuple[str, ...]
    border: float


SITES = (
    Site("North", 1.00, 0.01, 0.995, 1.00, 0.35, 0.25, 0.6, 3e5, 0.00, "plain", ("view",), 0.25),
    Site("Harbour", 0.86, 0.02, 0.985, 0.85, 0.15, 0.40, 0.9, 1.6e5, 0.02, "box", ("view", "date"), 0.45),
    Site("Valley", 1.18, 0.01, 0.999, 1.25, 0.20, 0.10, 0.3, 4e5, 0.00, "round", (), 0.15),
    Site("Mill", 1.00, 0.03, 0.975, 0.80, 0.55, 0.45, 1.1, 2.0e5, 0.00, "plain", ("name", "date"), 0.30),
    Site("Abbey", 0.95, 0.00, 0.999, 1.05, 0.00, 0.05, 0.1, 0.8e5, 0.09, "box", (), 0.60),
    Site("Lake", 1.10, 0.02, 0.99, 0.95, 0.45, 0.35, 0.8, 2.5e5, 0.01, "round", ("view",), 0.20),
)
