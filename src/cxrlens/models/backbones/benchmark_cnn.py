"""The paper's benchmark: two convolutions trained from scratch (West, Jha, Tsang 2020)."""

from __future__ import annotations

from torch import Tensor, nn

from cxrlens.models.backbones import BACKBONES, Backbone
from cxrlens.models.heads import glorot


class BenchmarkCNN(Backbone):
    """Two 3 × 3 convolutions (32 and 256 channels, "same", ReLU, max pooling by 2); its head is the dense one."""

    channels = 256
    architecture = "benchmark_cnn"
    head = "dense"
    map_layer = "relu2"  # in Keras the ReLU is part of the convolution

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 32, 3, padding=1)
        self.conv2 = nn.Conv2d(32, 256, 3, padding=1)
        self.relu1, self.relu2 = nn.ReLU(inplace=True), nn.ReLU(inplace=True)
        self.pool = nn.MaxPool2d(2)
        self.apply(glorot)

    def forward(self, images: Tensor) -> Tensor:
        """Feature map [b, 256, h / 4, w / 4] of images [b, 3, h, w]."""
        if not self.training:
            return self.pool(self.relu2(self.conv2(self.pool(self.relu1(self.conv1(images))))))
        # The maximum of positive parts is the positive part of the maximum, bit for bit, on a quarter of the places.
        return self.relu2(self.pool(self.conv2(self.relu1(self.pool(self.conv1(images))))))


@BACKBONES.register("benchmark_cnn")
def build(size: int) -> BenchmarkCNN:
    """Builds the benchmark CNN, which takes images of any size."""
    return BenchmarkCNN()
