"""Any network of timm (Wightman, pytorch-image-models), CNN or ViT, without its top.

What a network's `forward_features` gives is laid out as one map: a map as it is, a ViT's tokens where their patches
are, and several of them (CrossViT, CoaT) at the size of the smallest, side by side, as their own heads take them.
Where that is no map, `forward_intermediates` gives one. A network that gives none, or none at this size, is refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import timm
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cxrlens.errors import UserError, near_miss
from cxrlens.models.backbones import BACKBONES, Backbone


@cache
def timm_names() -> frozenset[str]:
    """Every architecture that this version of timm can build."""
    return frozenset(timm.list_models())


class TimmBackbone(Backbone):
    """The part of a timm network that ends in its last feature map.

    Attributes:
        network: the timm module, its classifier removed.
        pretrained_cfg: what timm says of the weights that go with it.

    Raises:
        UserError: it cannot be built for images of this size, or gives no feature map of them.
    """

    def __init__(self, name: str, size: int) -> None:
        super().__init__()
        self.architecture = name
        faults: list[Exception] = []  # of a pass, or else of building: what a pass says speaks of the images
        for options in _options(name, size):
            try:
                self.network: Any = timm.create_model(name, num_classes=0, **options)
            except Exception as error:  # whatever a network's own code raises
                faults.append(error)
                continue
            weights: Any = getattr(self.network, "pretrained_cfg", None)
            self.pretrained_cfg: dict[str, Any] = dict(weights or {})
            self._without_top(name)
            if (fault := self._choose(size)) is None:
                return
            faults.insert(0, fault)
        raise self._refusal(name, size, faults[0]) from faults[0]

    def _without_top(self, name: str) -> None:
        top = self.pretrained_cfg.get("classifier") or ()
        self.dropped = tuple(f"{each}." for each in ([top] if isinstance(top, str) else top))
        if hasattr(self.network, "pre_logits"):  # VGG: two dense layers of 119 million weights behind the feature map
            self.network.pre_logits = nn.Identity()
            self.dropped += ("pre_logits.",)
        if name.startswith("densenet"):  # the paper's choice: the last dense layer's 3 × 3 convolution
            last = [each for each, _ in self.network.named_modules() if each.endswith(".conv2")][-1]
            self.map_layer = f"network.{last}"

    def _choose(self, size: int) -> Exception | None:
        """Takes the first of the network's ways to its features that gives a map, or returns why none does."""
        faults: list[Exception] = []
        for self._way in ("forward_features", "forward_intermediates"):
            try:
                self.channels = self._probe(size).shape[1]
                return None
            except Exception as error:  # whatever a network's own code raises
                faults.append(error)
        return faults[0]

    def _refusal(self, name: str, size: int, fault: Exception) -> UserError:
        config = timm.get_pretrained_cfg(name)
        own = config.input_size[-1] if config else size
        reason = " ".join(str(fault).split())[:150] or type(fault).__name__
        instead = f"give it images of {own} × {own}, which it was made for, or " if own != size else ""
        return UserError(
            f"the backbone '{name}' gives no feature map of images of {size} × {size} ({reason}): {instead}"
            "choose another backbone"
        )

    def forward(self, images: Tensor) -> Tensor:
        """Feature map [b, channels, h', w'] of prepared images [b, 3, h, w]; a ViT's tokens are laid out as a map."""
        if self._way == "forward_features":
            features = self.network.forward_features(images)
            if isinstance(features, Tensor) and features.ndim == 3 and features.shape[2] != self.network.num_features:
                raise ValueError("its features are no tokens of the width that it says")
            return self._as_map(features, images)
        last = self.network.forward_intermediates(images, indices=1, output_fmt="NCHW", intermediates_only=True)[-1]
        return self._as_map(last, images)

    def _as_map(self, features: Any, images: Tensor) -> Tensor:
        if isinstance(features, list | tuple):
            widths = getattr(self.network, "embed_dim", None) or getattr(self.network, "embed_dims", ())
            if any(not isinstance(each, Tensor) or each.ndim != 3 or each.shape[2] not in widths for each in features):
                raise ValueError("its features are several, of a kind that is not known")
            maps = [self._placed(each, images) for each in features]
            smallest = min((each.shape[2], each.shape[3]) for each in maps)
            return torch.cat([F.adaptive_avg_pool2d(each, smallest) for each in maps], 1)
        if isinstance(features, Tensor) and features.ndim == 3:
            return self._placed(features, images)
        if not isinstance(features, Tensor) or features.ndim != 4:
            raise ValueError("its features are no map")
        # Swin and its kin keep the channels last.
        width, last = self.network.num_features, getattr(self.network, "output_fmt", None) == "NHWC"
        last = last or (features.shape[1] != width and features.shape[3] == width)
        return features.permute(0, 3, 1, 2) if last else features

    def _placed(self, tokens: Tensor, images: Tensor) -> Tensor:
        """Tokens [b, n, c] where their patches are, without those that stand for no patch."""
        said = getattr(self.network, "num_prefix_tokens", None)
        aspect = images.shape[3] / images.shape[2]
        for prefix in (0, 1) if said is None else (said,):
            count = tokens.shape[1] - prefix
            rows = max(1, round((count / aspect) ** 0.5)) if count > 0 else 0
            if rows and count == rows * max(1, round(rows * aspect)):
                return tokens[:, prefix:].transpose(1, 2).unflatten(2, (rows, count // rows))
        raise ValueError(f"its {tokens.shape[1]} tokens are no map")

    def _probe(self, size: int) -> Tensor:
        """The feature map of one empty image, with every mode and statistic left as it was."""
        training = self.training
        self.eval()
        try:
            with torch.no_grad():
                return self(torch.zeros(1, 3, size, size))
        finally:
            self.train(training)


def _options(name: str, size: int) -> Iterator[dict[str, Any]]:
    """How to ask timm for a network without its pooling: some have a fixed size of image, some cannot go without."""
    config = timm.get_pretrained_cfg(name)
    fixed: dict[str, Any] = {"img_size": size} if config is not None and config.fixed_input_size else {}
    yield {"global_pool": "", **fixed}
    yield fixed
    if not fixed:
        yield {"img_size": size}


def build_backbone(name: str, size: int) -> Backbone:
    """A backbone with random weights, from torch's global generator.

    Args:
        name: a name in `BACKBONES`, or any timm name.
        size: side of its images, in pixels.

    Raises:
        UserError: nobody knows the name; the nearest ones are named.
    """
    if name in BACKBONES:
        return BACKBONES[name](size)
    if name.split(".")[0] not in timm_names():
        raise UserError(near_miss("backbone", name, [*BACKBONES, *timm_names()], most=8))
    return TimmBackbone(name.split(".")[0], size)
