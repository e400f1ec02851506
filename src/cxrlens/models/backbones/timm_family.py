"""Any network of timm (Wightman, pytorch-image-models), CNN or ViT, without its top."""

from __future__ import annotations

from functools import cache
from typing import Any

import timm
import torch
from torch import Tensor, nn

from cxrlens.models.backbones import Backbone


@cache
def timm_names() -> frozenset[str]:
    """Every architecture that this version of timm can build."""
    return frozenset(timm.list_models())


class TimmBackbone(Backbone):
    """The part of a timm network that ends in its last feature map.

    Attributes:
        network: the timm module, its classifier removed.
        pretrained_cfg: what timm says of the weights that go with it.
    """

    def __init__(self, name: str, size: int) -> None:
        super().__init__()
        fixed = timm.get_pretrained_cfg(name)
        options: dict[str, Any] = {"img_size": size} if fixed is not None and fixed.fixed_input_size else {}
        network: Any = timm.create_model(name, num_classes=0, global_pool="", **options)
        self.architecture = name
        self.pretrained_cfg: dict[str, Any] = dict(getattr(network, "pretrained_cfg", {}))
        top = self.pretrained_cfg.get("classifier") or ()
        self.dropped = tuple(f"{each}." for each in ([top] if isinstance(top, str) else top))
        if hasattr(network, "pre_logits"):  # VGG: two dense layers of 119 million weights behind the feature map
            network.pre_logits = nn.Identity()
            self.dropped += ("pre_logits.",)
        if name.startswith("densenet"):  # the paper's choice: the last dense layer's 3 × 3 convolution
            self.map_layer = [f"network.{each}" for each, _ in network.named_modules() if each.endswith(".conv2")][-1]
        self.network = network
        self.channels = self._probe(size).shape[1]

    def forward(self, images: Tensor) -> Tensor:
        """Feature map [b, channels, h', w'] of prepared images [b, 3, h, w]; a ViT's tokens are laid out as a map."""
        features: Tensor = self._forward_features(images)
        if features.ndim == 3:
            return self._as_map(features, images)
        # Swin and its kin keep the channels last.
        return features.permute(0, 3, 1, 2) if getattr(self.network, "output_fmt", "NCHW") == "NHWC" else features

    def _forward_features(self, images: Tensor) -> Tensor:
        forward: Any = self.network.forward_features
        return forward(images)

    def _as_map(self, tokens: Tensor, images: Tensor) -> Tensor:
        patches = tokens[:, getattr(self.network, "num_prefix_tokens", 0) :]
        height = round((patches.shape[1] * images.shape[2] / images.shape[3]) ** 0.5)
        return patches.transpose(1, 2).unflatten(2, (height, patches.shape[1] // height))

    def _probe(self, size: int) -> Tensor:
        """The feature map of one empty image, with every mode and statistic left as it was."""
        training = self.training
        self.eval()
        with torch.no_grad():
            features = self(torch.zeros(1, 3, size, size))
        self.train(training)
        return features
