"""Networks small enough to compute by hand, as classifiers."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from cxrlens.models.backbones import UNIT, Backbone, Preprocessing
from cxrlens.models.classifier import Classifier
from cxrlens.models.heads import GlobalAveragePool


class Layers(Backbone):
    """A backbone of these layers, run in order."""

    architecture = "hand-set"

    def __init__(self, *layers: nn.Module, channels: int = 1) -> None:
        super().__init__()
        self.layers = nn.Sequential(*layers)
        self.channels = channels

    def forward(self, images: Tensor) -> Tensor:
        return self.layers(images)


class Formula(nn.Module):
    """A head that is a formula of the map: [b, c, h, w] → [b, k]."""

    def __init__(self, formula: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.formula = formula

    def forward(self, features: Tensor) -> Tensor:
        return self.formula(features)


def classifier(backbone: Backbone, head: nn.Module, preprocessing: Preprocessing = UNIT) -> Classifier:
    return Classifier(backbone, head, 4, preprocessing).eval()


def captums() -> tuple[Classifier, Tensor]:
    """captum's hand-set convolution net and its input arange(16): what it is given is 15 times the image."""
    conv, dense = nn.Conv2d(3, 2, 3), nn.Linear(8, 4)
    with torch.no_grad():
        conv.weight.zero_()[:, 0] = 1  # the net is for one channel
        conv.bias.copy_(torch.tensor([-50.0, -75.0]))
        dense.weight.copy_(torch.tensor([1.0] * 5 + [-1.0] * 3).expand(4, 8))
        dense.bias.zero_()
    head = nn.Sequential(nn.Flatten(), dense, nn.ReLU())
    preprocessing = Preprocessing(std=(1 / 15,) * 3)
    model = classifier(Layers(conv, nn.ReLU(inplace=True), channels=2), head, preprocessing)
    return model, torch.arange(16.0).view(1, 1, 4, 4) / 15


def pooled(sign: float = 1.0, channels: int = 5, outputs: int = 1, seed: int = 0) -> Classifier:
    """Convolution, ReLU in place, average pooling and a dense layer whose weights all have that sign."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        conv, dense = nn.Conv2d(3, channels, 3, padding=1), nn.Linear(channels, outputs)
        with torch.no_grad():
            dense.weight.copy_(sign * torch.rand(outputs, channels))
    return classifier(Layers(conv, nn.ReLU(inplace=True), channels=channels), nn.Sequential(GlobalAveragePool(), dense))


def images(count: int = 2, side: int = 16, seed: int = 0) -> Tensor:
    return torch.rand(count, 1, side, side, generator=torch.Generator().manual_seed(seed))
