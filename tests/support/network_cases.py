"""Networks and images made by hand, as the probes of a trained network are given them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from cxrlens.audit.base import AuditResult, IntervalOptions, settle
from cxrlens.audit.case import ImageSet, ModelCase
from cxrlens.audit.lungs.regions import Lungs
from cxrlens.audit.probes import PROBES, ModelProbe
from cxrlens.data.cohort import cohort_table
from cxrlens.models.backbones import UNIT, Backbone
from cxrlens.models.classifier import Classifier
from cxrlens.train.device import choose_device

FAST = IntervalOptions(draws=400)
SIZE = 64
CORNER, CENTRE = (slice(0, 9), slice(0, 18)), (slice(24, 40), slice(24, 40))  # inside a default corner; inside LUNGS
LUNGS = (slice(20, 44), slice(20, 44))
Place = tuple[slice, slice]


class Seen(Backbone):
    """A backbone whose features are a formula of the grey image: [b, h, w] → [b, c]."""

    architecture = "hand-set"

    def __init__(self, formula: Callable[[Tensor], Tensor], channels: int = 1) -> None:
        super().__init__()
        self.formula, self.channels = formula, channels
        self.scale = nn.BatchNorm2d(channels)  # a state that a careless probe would move

    def forward(self, images: Tensor) -> Tensor:
        return self.scale(self.formula(images[:, 0])[:, :, None, None])


class Sum(nn.Module):
    def forward(self, features: Tensor) -> Tensor:
        return features.sum((1, 2, 3))[:, None]


def network(formula: Callable[[Tensor], Tensor], channels: int = 1) -> Classifier:
    """Its logit is the sum of the features."""
    return Classifier(Seen(formula, channels), Sum(), SIZE, UNIT).eval()


def mean_of(place: Place) -> Classifier:
    """Its logit is the mean grey of a place."""
    return network(lambda grey: grey[:, place[0], place[1]].mean((1, 2))[:, None])


def noise(count: int, seed: int = 0, side: int = SIZE) -> np.ndarray:
    """Grey images [n, side, side] about 0.4."""
    return 0.4 + 0.05 * np.random.default_rng(seed).standard_normal((count, side, side))


def half(count: int) -> np.ndarray:
    """Labels, every second one positive."""
    return np.arange(count) % 2 == 1


def brightened(greys: np.ndarray, place: Place, by: np.ndarray, seed: int = 1, spread: float = 0.06) -> np.ndarray:
    """The images with a place brighter, each by its own amount and some chance."""
    amount = 0.2 * by + spread * np.random.default_rng(seed).standard_normal(len(greys))
    found = greys.copy()
    found[:, place[0], place[1]] += amount[:, None, None]
    return found


def lungs(count: int, place: Place = LUNGS, side: int = SIZE) -> Lungs:
    """The same place in every image."""
    mask = np.zeros((side, side), bool)
    mask[place] = True
    return Lungs(np.repeat(mask[None], count, 0), np.ones(count, bool), "masks", "drawn by hand")


def no_lungs(count: int) -> Lungs:
    return Lungs(np.zeros((count, 1, 1), bool), np.zeros(count, bool), "none", "", ("masks are one-sided",))


def network_case(
    model: Classifier,
    greys: np.ndarray,
    labels: np.ndarray,
    training: tuple[np.ndarray, np.ndarray] | None = None,
    patients: Sequence[str] | None = None,
    trained_patients: Sequence[str] | None = None,
    where: Lungs | None = None,
    where_trained: Lungs | None = None,
    logits: np.ndarray | None = None,
    columns: dict[str, object] | None = None,
    **more: Any,
) -> ModelCase:
    """Images v0, v1, ... of a patient each unless said otherwise; the training side is the like with other noise."""
    count = len(labels)
    inside, known = training or (greys[::-1].copy(), labels[::-1].copy())
    names = [f"v{row}" for row in range(count)]
    pixels = _tensor(greys)
    with torch.inference_mode():
        predicted = model(pixels).double().numpy()
    told = {"image": names, "patient": patients or names, "label": labels.astype(float), **(columns or {})}
    return ModelCase(
        name="by hand",
        model=model,
        device=choose_device("cpu"),
        images=tuple(names),
        pixels=pixels,
        labels=labels,
        patients=np.array(patients or names),
        logits=predicted if logits is None else logits,
        table=cohort_table(pd.DataFrame(told)),
        lungs=where or lungs(count, side=greys.shape[1]),
        training=ImageSet(
            _tensor(inside),
            known,
            np.array(trained_patients or [f"t{row}" for row in range(len(known))]),
            where_trained or lungs(len(known), side=greys.shape[1]),
        ),
        intervals=more.pop("intervals", FAST),
        **more,
    )


def asked(name: str, case: ModelCase, **options: Any) -> list[AuditResult]:
    """A probe's findings, settled by themselves."""
    probe = PROBES[name](**options)
    assert isinstance(probe, ModelProbe)
    return settle(probe.results(case), case.intervals.level)


def one(name: str, case: ModelCase, **options: Any) -> AuditResult:
    (found,) = asked(name, case, **options)
    return found


def _tensor(greys: np.ndarray) -> Tensor:
    return torch.from_numpy(greys.clip(0, 1).astype(np.float32))[:, None]
