"""Any network of timm (Wightman, pytorch-image-models), CNN or ViT, without its classifier.

The output of a network's `forward_features` becomes one feature map. A map stays as it is. The tokens of a ViT are laid
out in the places of their patches. Several outputs (CrossViT, CoaT) are pooled to the size of the smallest and
concatenated, as in their own heads. If that gives no map, `forward_intermediates` is tried. A network without any
feature map at this image size is an error.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cxrlens.errors import UserError, near_miss
from cxrlens.models.backbones import BACKBONES, Backbone


@cache
def timm_names() -> frozenset[str]:
    """Every architecture that this version of timm can build."""
    import timm  # loading it takes seconds, so only what needs a network or its name does; a report needs neither

    return frozenset(timm.list_models())


def pretrained_config(name: str) -> Any:
    """Description by timm of an architecture's own weights; None where it has none."""
    import timm

    return timm.get_pretrained_cfg(name)


class TimmBackbone(Backbone):
    """A timm network up to its last feature map.

    Attributes:
        network: the timm module without its classifier.
        pretrained_cfg: timm's description of the network's weights.

    Raises:
        UserError: the network cannot be built for images of this size, or gives no feature map of them.
    """

    def __init__(self, name: str, size: int) -> None:
        import timm

        super().__init__()
        self.architecture = name
        faults: list[Exception] = []  # errors of a pass come first, since they speak of the images
        for options in _options(name, size):
            try:
                self.network: Any = timm.create_model(name, num_classes=0, **options)
            except Exception as error:  # whatever a network's own code raises
                faults.append(error)
                continue
            weights: Any = getattr(self.network, "pretrained_cfg", None)
            self.pretrained_cfg: dict[str, Any] = dict(weights or {})
            self._remove_classifier(name)
            if (fault := self._choose_method(size)) is None:
                return
            faults.insert(0, fault)
        raise self._refusal(name, size, faults[0]) from faults[0]

    def _remove_classifier(self, name: str) -> None:
        classifier = self.pretrained_cfg.get("classifier") or ()
        modules = [classifier] if isinstance(classifier, str) else classifier
        self.dropped = tuple(f"{module}." for module in modules)
        if hasattr(self.network, "pre_logits"):  # VGG: two dense layers with 119 million weights after the feature map
            self.network.pre_logits = nn.Identity()
            self.dropped += ("pre_logits.",)
        if name.startswith("densenet"):  # the paper's choice: the last dense layer's 3 × 3 convolution
            last = [module for module, _ in self.network.named_modules() if module.endswith(".conv2")][-1]
            self.map_layer = f"network.{last}"

    def _choose_method(self, size: int) -> Exception | None:
        """Chooses the first of timm's methods that gives a feature map; returns the first one's error if none does."""
        faults: list[Exception] = []
        for self._method in ("forward_features", "forward_intermediates"):
            try:
                self.channels = self._feature_map(size).shape[1]
                return None
            except Exception as error:  # whatever a network's own code raises
                faults.append(error)
        return faults[0]

    def _refusal(self, name: str, size: int, fault: Exception) -> UserError:
        config = pretrained_config(name)
        own = config.input_size[-1] if config else size
        reason = " ".join(str(fault).split())[:150] or type(fault).__name__
        instead = f"give it images of {own} × {own}, which it was made for, or " if own != size else ""
        return UserError(
            f"the backbone '{name}' gives no feature map of images of {size} × {size} ({reason}): {instead}"
            "choose another backbone"
        )

    def forward(self, images: Tensor) -> Tensor:
        """Feature map [b, channels, h', w'] of prepared images [b, 3, h, w]; a ViT's tokens are laid out as a map."""
        if self._method == "forward_features":
            features = self.network.forward_features(images)
            if isinstance(features, Tensor) and features.ndim == 3 and features.shape[2] != self.network.num_features:
                raise ValueError("its features are not tokens of the width that it declares")
            return self._as_map(features, images)
        last = self.network.forward_intermediates(images, indices=1, output_fmt="NCHW", intermediates_only=True)[-1]
        return self._as_map(last, images)

    def _as_map(self, features: Any, images: Tensor) -> Tensor:
        if isinstance(features, list | tuple):
            widths = getattr(self.network, "embed_dim", None) or getattr(self.network, "embed_dims", ())
            if not all(
                isinstance(tokens, Tensor) and tokens.ndim == 3 and tokens.shape[2] in widths for tokens in features
            ):
                raise ValueError("it gives several features of an unknown kind")
            maps = [self._tokens_as_map(tokens, images) for tokens in features]
            smallest = min((feature_map.shape[2], feature_map.shape[3]) for feature_map in maps)
            return torch.cat([F.adaptive_avg_pool2d(feature_map, smallest) for feature_map in maps], 1)
        if isinstance(features, Tensor) and features.ndim == 3:
            return self._tokens_as_map(features, images)
        if not isinstance(features, Tensor) or features.ndim != 4:
            raise ValueError("its features are not a map")
        # Swin and similar networks keep the channels last.
        width, channels_last = self.network.num_features, getattr(self.network, "output_fmt", None) == "NHWC"
        channels_last = channels_last or (features.shape[1] != width and features.shape[3] == width)
        return features.permute(0, 3, 1, 2) if channels_last else features

    def _tokens_as_map(self, tokens: Tensor, images: Tensor) -> Tensor:
        """Feature map [b, c, h', w'] of tokens [b, n, c], without the tokens that have no patch."""
        declared = getattr(self.network, "num_prefix_tokens", None)
        aspect = images.shape[3] / images.shape[2]
        for prefix in (0, 1) if declared is None else (declared,):
            count = tokens.shape[1] - prefix
            rows = max(1, round((count / aspect) ** 0.5)) if count > 0 else 0
            if rows and count == rows * max(1, round(rows * aspect)):
                return tokens[:, prefix:].transpose(1, 2).unflatten(2, (rows, count // rows))
        raise ValueError(f"its {tokens.shape[1]} tokens do not form a map")

    def _feature_map(self, size: int) -> Tensor:
        """Feature map of one black image; modes and running statistics stay unchanged."""
        training = self.training
        self.eval()
        try:
            with torch.no_grad():
                return self(torch.zeros(1, 3, size, size))
        finally:
            self.train(training)


def _options(name: str, size: int) -> Iterator[dict[str, Any]]:
    """Options of timm for a network without pooling; some networks need an image size, some keep their pooling."""
    config = pretrained_config(name)
    fixed: dict[str, Any] = {"img_size": size} if config is not None and config.fixed_input_size else {}
    yield {"global_pool": "", **fixed}
    yield fixed
    if not fixed:
        yield {"img_size": size}


def build_backbone(name: str, size: int) -> Backbone:
    """Builds a backbone with random weights from torch's global generator.

    Args:
        name: a name in `BACKBONES`, or any timm name.
        size: side of the images, in pixels.

    Raises:
        UserError: the name is unknown; the nearest ones are named.
    """
    if name in BACKBONES:
        return BACKBONES[name](size)
    if name.split(".")[0] not in timm_names():
        raise UserError(near_miss("backbone", name, [*BACKBONES, *timm_names()], most=8))
    return TimmBackbone(name.split(".")[0], size)
