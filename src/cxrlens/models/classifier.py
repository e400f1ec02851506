"""The classifier: preprocessing, backbone and head in one module, with frozen parts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from cxrlens.arguments import checked
from cxrlens.config import Config
from cxrlens.errors import UserError
from cxrlens.models.backbones import UNIT, Backbone, Preprocessing
from cxrlens.models.backbones.timm_family import build_backbone
from cxrlens.models.heads import HEADS
from cxrlens.models.weights.store import LoadedWeights, load_weights


class ModelOptions(Config):
    """The network of a model row.

    Attributes:
        name: name of the model in tables, figures and folders.
        backbone: "benchmark_cnn", or the name of any architecture in timm.
        weights: initial weights of the backbone: "random", "auto" (the best weights available), "timm" (timm's own
            weights for the backbone), the name of a weight card, or the path of a weight file.
        trained: parts of the network that are trained: "head", "all", or a list of modules of the backbone, which are
            trained together with the head.
        head: layers between the feature map and the logit: "conv" (the paper's head on a frozen backbone), "linear" or
            "dense". Without it: "dense" on "benchmark_cnn"; on other backbones "linear" if everything is trained, else
            "conv".
        preprocessing: scale of the images for the network: "weights" takes the scale that the weights were trained
            with, "unit" takes [0, 1].
        batchnorm_momentum: weight of a new batch in BatchNorm's running statistics (Keras' 0.99 is 0.01 here); without
            it, the backbone's own.
        batchnorm_epsilon: number that BatchNorm adds to the variance; without it, the backbone's own.
    """

    name: str = Field(min_length=1)
    backbone: str = "benchmark_cnn"
    weights: str = "random"
    trained: Literal["head", "all"] | tuple[str, ...] = "all"
    head: str | None = None
    preprocessing: Literal["weights", "unit"] = "weights"
    batchnorm_momentum: float | None = Field(default=None, gt=0, le=1)
    batchnorm_epsilon: float | None = Field(default=None, gt=0)


class Classifier(nn.Module):
    """A network from chest X-rays to one logit.

    `model(images)` takes float images [b, 1, size, size] in [0, 1] and returns logits [b]; `torch.sigmoid` of a logit
    is the probability. `features` and `logits` compute the two halves. Frozen parts stay in evaluation mode even after
    `train()`, so that their BatchNorm statistics do not change.

    Attributes:
        name: name of the study's row; "" for a network outside of a study.
        backbone: network without its classifier.
        head: layers from the feature map to the logit.
        size: side of the images, in pixels.
        weights: initial weights of the backbone.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, backbone: Backbone, head: nn.Module, size: int, preprocessing: Preprocessing) -> None:
        super().__init__()
        self.name = ""
        self.backbone = backbone
        self.head = head
        self.size = size
        self.weights = LoadedWeights("random", "random weights", UNIT)
        self._trained: tuple[str, ...] | None = None
        self.set_preprocessing(preprocessing)

    def __repr__(self) -> str:
        total, trained = count_parameters(self)
        title = f"'{self.name}': " if self.name else ""
        return (
            f"Classifier {title}images [b, 1, {self.size}, {self.size}] in [0, 1] to logits [b]; {total:,} parameters, "
            f"{trained:,} of them trained"
        )

    @checked
    def set_preprocessing(self, preprocessing: Preprocessing) -> None:
        """Sets the scale of the images for the backbone; these constants are not saved with the weights."""
        self.preprocessing = preprocessing
        self.register_buffer("mean", torch.tensor(preprocessing.mean).view(1, -1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(preprocessing.std).view(1, -1, 1, 1), persistent=False)

    def prepare(self, images: Tensor) -> Tensor:
        """Scales images [b, 1, h, w] in [0, 1] for the backbone: [b, 3, h, w]."""
        return (images.expand(-1, 3, -1, -1) - self.mean) / self.std

    def features(self, images: Tensor) -> Tensor:
        """Feature map [b, c, h', w'] of images [b, 1, h, w] in [0, 1]."""
        return self.backbone(self.prepare(images))

    def logits(self, features: Tensor) -> Tensor:
        """Logits [b] of feature maps."""
        return self.head(features).squeeze(1)

    def forward(self, images: Tensor) -> Tensor:
        """Logits [b] of images [b, 1, h, w] in [0, 1]."""
        return self.logits(self.features(images))

    @property
    def backbone_is_frozen(self) -> bool:
        """Whether only the head is trained."""
        return self._trained == ()

    @checked
    def freeze_but(self, trained: Literal["head", "all"] | tuple[str, ...]) -> None:
        """Freezes the backbone, except for the parts that are trained; the head is always trained.

        Args:
            trained: "all" for the whole backbone, "head" for none of it, or names of its modules.

        Raises:
            UserError: `trained` is something else, or the backbone has no module of a name; its outer modules are
                listed.
        """
        network = self.backbone.inner
        if trained == "all":
            self._trained = None
        elif trained == "head":
            self._trained = ()
        else:
            known = [name for name, _ in network.named_modules() if name]
            for name in trained:
                if name not in known:
                    outer = ", ".join(module for module in known if module.count(".") < 2)
                    raise UserError(f"trained: this backbone has no module '{name}'; its outer modules are {outer}")
            self._trained = tuple(trained)
        self.backbone.requires_grad_(self._trained is None)
        for name in self._trained or ():
            network.get_submodule(name).requires_grad_(True)
        self.train(self.training)

    def train(self, mode: bool = True) -> Classifier:
        """Sets training mode for the trained parts; frozen parts stay in evaluation mode."""
        super().train(mode)
        if mode and self._trained is not None:
            self.backbone.eval()
            network = self.backbone.inner
            for name in self._trained:
                network.get_submodule(name).train()
        return self

    def trained_state(self) -> dict[str, Tensor]:
        """Tensors that training can change: trained parameters, and running statistics of trained modules."""
        if self._trained is None:
            return self.state_dict()
        inner = f"{self.backbone.inner_path}."
        prefixes = ("head.", *(f"{inner}{name}." for name in self._trained))
        return {name: tensor for name, tensor in self.state_dict().items() if name.startswith(prefixes)}


def build_classifier(options: ModelOptions, size: int, seed: int, study_dir: Path | None = None) -> Classifier:
    """Builds the classifier of a study's row.

    Args:
        options: the row.
        size: side of the images, in pixels.
        seed: seed of the random weights; torch's global generator is left unchanged.
        study_dir: folder that a relative path of a weight file starts from.

    Raises:
        UserError: the backbone, the head or a trained module is unknown, the weights are not available or do not fit,
            or the images are too small.
    """
    with seeded(seed):
        backbone = build_backbone(options.backbone, size)
        for module in backbone.modules():  # before loading weights, which adapts their variances to this epsilon
            if isinstance(module, nn.BatchNorm2d):
                module.momentum = options.batchnorm_momentum or module.momentum
                module.eps = options.batchnorm_epsilon or module.eps
        loaded = load_weights(backbone, options.weights, options.backbone, study_dir)
        with torch.no_grad():
            training = backbone.training
            features = backbone.eval()(torch.zeros(1, 3, size, size))
            backbone.train(training)
        name = options.head or ("linear" if options.trained == "all" and backbone.head == "conv" else backbone.head)
        head = HEADS[name](*features.shape[1:])
    preprocessing = loaded.preprocessing if options.preprocessing == "weights" else UNIT
    classifier = Classifier(backbone, head, size, preprocessing)
    classifier.name = options.name
    classifier.weights = loaded
    classifier.freeze_but(options.trained)
    return classifier


def restore_classifier(
    options: ModelOptions, size: int, state: dict[str, Tensor], preprocessing: Preprocessing
) -> Classifier:
    """Restores a trained classifier in evaluation mode from its saved state; its initial weights are not needed.

    Args:
        options: options of the model that the classifier was built from.
        size: side of the images, in pixels.
        state: all tensors of the classifier.
        preprocessing: scale of the images for the backbone in training.

    Raises:
        UserError: the tensors do not belong to this row.
    """
    with torch.inference_mode(False):  # otherwise its parameters could never be differentiated
        classifier = build_classifier(options.model_copy(update={"weights": "random"}), size, seed=0)
    try:
        classifier.load_state_dict(state)
    except RuntimeError as error:
        raise UserError(
            f"the saved weights do not belong to '{options.name}': {str(error).splitlines()[1:3]}"
        ) from error
    classifier.set_preprocessing(preprocessing)
    return classifier.eval()


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seeds torch's global generators within the block and restores their state at its end."""
    devices = list(range(torch.cuda.device_count())) if torch.cuda.is_available() else []
    with torch.random.fork_rng(devices):
        torch.manual_seed(seed)
        yield


def count_parameters(model: nn.Module) -> tuple[int, int]:
    """Numbers of all and of trained parameters, without buffers such as BatchNorm's running statistics."""
    parameters = list(model.parameters())
    trained = [parameter for parameter in parameters if parameter.requires_grad]
    return sum(parameter.numel() for parameter in parameters), sum(parameter.numel() for parameter in trained)
