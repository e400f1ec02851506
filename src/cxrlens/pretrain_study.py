"""The pretraining file: the backbone, the data sets and findings it learns, and the text of its weight card."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import tomlkit
from pydantic import Field, field_validator

from cxrlens.arguments import checked
from cxrlens.config import Config, parse, read_toml
from cxrlens.data.augment import Augmentation
from cxrlens.data.finding_sets import FindingSet
from cxrlens.data.sources import SOURCES
from cxrlens.errors import UserError
from cxrlens.study import Interpolation
from cxrlens.train.training_options import TrainingOptions


class Scale(Config):
    """Scale of the images for the network: `(x - mean) / std` of an image in [0, 1], the same for every channel.

    Attributes:
        mean: number that is subtracted from the image.
        std: number that the image is then divided by, above 0.
    """

    mean: float = Field(allow_inf_nan=False)
    std: float = Field(gt=0, allow_inf_nan=False)


class BackboneOptions(Config):
    """A network and its initial weights: the network that is trained, or its teacher.

    Attributes:
        name: "benchmark_cnn", or the name of any architecture in timm.
        weights: initial weights, as `weights` of `[[models]]` in a study file: "random", "auto", "timm", the name of a
            weight card, or the path of a weight file.
        preprocessing: scale of the images for the network: "weights" takes the scale that the weights were trained
            with, "unit" takes [0, 1], and a table with `mean` and `std` sets any other.
    """

    name: str
    weights: str = "random"
    preprocessing: Literal["weights", "unit"] | Scale = "weights"


class TeacherOptions(BackboneOptions):
    """The network whose features the backbone learns beside the findings (Romero et al. 2015, arXiv:1412.6550).

    The teacher sees the images at the size that its weights were trained at.

    Attributes:
        weight: weight of the teacher's features in the loss; the findings have weight 1.
    """

    weight: float = Field(default=1.0, gt=0)


class CardOptions(Config):
    """Texts of the weight card beside the measured results. They may hold Markdown.

    Attributes:
        title: short description of the weights: which network was trained on which data.
        licence: licence of the weights.
        data: one line per data set: its content, its owner and its licence.
        limits: limits of the weights, one line for each.
        citation: papers to cite for the weights.
    """

    title: str = ""
    licence: str = "not stated"
    data: tuple[str, ...] = ()
    limits: tuple[str, ...] = ()
    citation: str = ""


class PretrainImages(Config):
    """Size of the images, and share of the patients held out for validation.

    Attributes:
        size: side of the square images that the network sees, in pixels.
        interpolation: method that resizes the images.
        validation: share of the patients held out for validation.
        merge_duplicates: whether patients of one data set who share an image count as one patient.
    """

    size: int = Field(default=224, ge=32, le=1024)
    interpolation: Interpolation = "bilinear"
    validation: float = Field(default=0.1, gt=0, lt=1)
    merge_duplicates: bool = True


class PretrainEvaluation(Config):
    """The pretraining's `[evaluation]`.

    Attributes:
        level: confidence level of the intervals.
        seed: seed that draws the folds of the linear probes.
    """

    level: float = Field(default=0.95, gt=0, lt=1)
    seed: int = Field(default=0, ge=0)


class PretrainStudy(Config):
    """A whole pretraining, frozen.

    Attributes:
        name: name of the weights that are trained; the name of their card and file.
        seed: seed of the held-out patients, the initial weights and the training.
        backbone: network that is trained.
        teacher: network whose features the backbone learns beside the findings; without it, findings only.
        data: labelled data sets.
        images: size of the images and share of the patients held out.
        augment: augmentation of the training images.
        training: batch, epochs, learning rate and loss.
        evaluation: options of the intervals.
        precision: precision of the written weights: "half" is float16, "single" is float32.
        card: texts of the weight card.
    """

    name: str = Field(min_length=1, pattern=r"^[\w.-]+$")
    seed: int = Field(default=0, ge=0, lt=2**32)
    backbone: BackboneOptions
    teacher: TeacherOptions | None = None
    data: tuple[FindingSet, ...] = Field(min_length=1)
    images: PretrainImages = PretrainImages()
    augment: Augmentation = Augmentation()
    training: TrainingOptions = TrainingOptions(batch=32, epochs=5, schedule="one_cycle")
    evaluation: PretrainEvaluation = PretrainEvaluation()
    precision: Literal["half", "single"] = "half"
    card: CardOptions = CardOptions()

    @classmethod
    @checked
    def load(cls, path: str | Path) -> PretrainStudy:
        """Reads a pretraining file.

        Raises:
            UserError: the file is absent or not TOML, or has an unknown key or a bad value; the nearest key is named.
        """
        return cls.of(read_toml(path), str(path))

    @classmethod
    @checked
    def of(cls, raw: Mapping[str, Any], where: str = "the pretraining") -> PretrainStudy:
        """Makes a pretraining from the tables of its file."""
        sets = raw.get("data")
        if not isinstance(sets, list) or not all(isinstance(table, Mapping) for table in sets):
            raise UserError(
                f"{where}: needs at least one [[data]] table; run a study file, which has [data], with `cxrlens run`"
            )
        data = [FindingSet.of(table, f"{where}: [[data]] {number}") for number, table in enumerate(sets, start=1)]
        return parse(cls, {**raw, "data": data}, where)

    @field_validator("data")
    @classmethod
    def _distinct(cls, data: tuple[FindingSet, ...]) -> tuple[FindingSet, ...]:
        if len({finding_set.name for finding_set in data}) < len(data):
            raise ValueError("each data set needs its own name")
        if all(finding_set.probe_only for finding_set in data):
            raise ValueError("every data set has probe_only = true; at least one must be trained on")
        return data

    @property
    def findings(self) -> tuple[str, ...]:
        """Names of the findings that the network learns, in the order of the file."""
        trained = [finding_set for finding_set in self.data if not finding_set.probe_only]
        return tuple(dict.fromkeys(name for finding_set in trained for name in finding_set.names))

    @property
    def probed(self) -> tuple[str, ...]:
        """Names of the findings of all data sets; those that the network learns come first."""
        every = (name for finding_set in self.data for name in finding_set.names)
        return tuple(dict.fromkeys((*self.findings, *every)))

    def to_toml(self) -> str:
        """Writes the whole pretraining as TOML, with all defaults; `PretrainStudy.of` reads it back as an equal one."""
        tables = self.model_dump(mode="json", exclude_none=True)
        tables["data"] = [
            {
                **{key: value for key, value in table.items() if key != "source"},
                "source": next(name for name in SOURCES if SOURCES[name] is type(finding_set.source)),
                **table["source"],
            }
            for finding_set, table in zip(self.data, tables["data"], strict=True)
        ]
        return tomlkit.dumps(tables)
