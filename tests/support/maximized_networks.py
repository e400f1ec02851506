"""Networks whose best picture is known, and a small one with BatchNorm."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from cxrlens.models.backbones import UNIT, Backbone, Preprocessing
from cxrlens.models.classifier import Classifier, seeded
from cxrlens.models.heads import GlobalAveragePool


class Weigh(Backbone):
    """A map of one value: the sum of the picture times a pattern [3, h, w]."""

    channels = 1
    architecture = "weigh"

    def __init__(self, pattern: Tensor) -> None:
        super().__init__()
        self.scores = nn.Conv2d(3, 1, pattern.shape[1], bias=False)
        self.scores.weight.data = pattern[None].clone()

    def forward(self, images: Tensor) -> Tensor:
        return self.scores(images)


class Like(Backbone):
    """The squared distance of every pixel to a target [3, h, w], negative: best at the target, where it is 0."""

    channels = 3
    architecture = "like"

    def __init__(self, target: Tensor) -> None:
        super().__init__()
        self.target = target
        self.distance = nn.Identity()

    def forward(self, images: Tensor) -> Tensor:
        return self.distance(-(images - self.target).square())


class Small(Backbone):
    """Two convolutions with BatchNorm, in-place ReLUs and a layer that counts how often it runs."""

    channels = 8
    architecture = "small"

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 6, 3, padding=1)
        self.norm = nn.BatchNorm2d(6)
        self.relu = nn.ReLU(inplace=True)
        self.second = nn.Conv2d(6, 8, 3, stride=2)
        self.beyond = Counting()

    def forward(self, images: Tensor) -> Tensor:
        return self.beyond(self.second(self.relu(self.norm(self.first(images)))))


class Counting(nn.Module):
    runs = 0

    def forward(self, features: Tensor) -> Tensor:
        self.runs += 1
        return features


def classifier(backbone: Backbone, size: int, preprocessing: Preprocessing = UNIT) -> Classifier:
    """Under a head that averages."""
    head = nn.Sequential(GlobalAveragePool(), nn.Linear(backbone.channels, 1))
    nn.init.constant_(head[1].weight, 1.0)
    nn.init.zeros_(head[1].bias)
    return Classifier(backbone, head, size, preprocessing)


def small(size: int = 24) -> Classifier:
    """Random but for the seed, with BatchNorm statistics of its own."""
    with seeded(0):
        backbone = Small()
        backbone.norm.running_mean = torch.randn(6) * 0.1
        backbone.norm.running_var = torch.rand(6) + 0.5
        return classifier(backbone, size, Preprocessing((0.5,) * 3, (0.25,) * 3))
