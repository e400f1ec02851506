"""The pretraining file: which backbone learns which findings from which sets, and what its weight card will say."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import tomlkit
from pydantic import Field, field_validator

from cxrlens.config import Config, parse, read_toml
from cxrlens.data.augment import Augmentation
from cxrlens.data.finding_sets import FindingSet
from cxrlens.data.sources import SOURCES
from cxrlens.errors import UserError
from cxrlens.study import Interpolation
from cxrlens.train.training_options import TrainingOptions


class Scale(Config):
    """What the network is given: `(x - mean) / std` of an image in [0, 1], the same for every channel."""

    mean: float = Field(allow_inf_nan=False)
    std: float = Field(gt=0, allow_inf_nan=False)


class BackboneOptions(Config):
    """A network and its weights: the one that learns, or the teacher.

    Attributes:
        name: a backbone's.
        weights: as a study's row has them.
        preprocessing: what it is given: "weights", what its weights were trained on; "unit", [0, 1]; or a scale.
    """

    name: str
    weights: str = "random"
    preprocessing: Literal["weights", "unit"] | Scale = "weights"


class TeacherOptions(BackboneOptions):
    """The network whose features the backbone learns beside the findings (Romero et al. 2015, arXiv:1412.6550).

    It sees the images at the size that its weights were trained at.

    Attributes:
        weight: of the features in the loss, beside the findings' 1.
    """

    weight: float = Field(default=1.0, gt=0)


class CardOptions(Config):
    """What the weight card says beyond what is measured; Markdown is welcome.

    Attributes:
        title: what was trained on what.
        licence: of the weights.
        data: a line a set: what it is, whose, under which licence.
        limits: a line each: what the weights are not good for.
        citation: the papers behind them.
    """

    title: str = ""
    licence: str = "not stated"
    data: tuple[str, ...] = ()
    limits: tuple[str, ...] = ()
    citation: str = ""


class PretrainImages(Config):
    """How the images are resized, and which patients are held out.

    Attributes:
        size: of both sides, in pixels.
        interpolation: how images are resized.
        validation: share of the patients held out.
        merge_duplicates: whether patients of one set that share an image count as one.
    """

    size: int = Field(default=224, ge=32, le=1024)
    interpolation: Interpolation = "bilinear"
    validation: float = Field(default=0.1, gt=0, lt=1)
    merge_duplicates: bool = True


class PretrainEvaluation(Config):
    """The pretraining's `[evaluation]`.

    Attributes:
        level: of the intervals.
        seed: of the linear probes' folds.
    """

    level: float = Field(default=0.95, gt=0, lt=1)
    seed: int = Field(default=0, ge=0)


class PretrainStudy(Config):
    """A whole pretraining, frozen.

    Attributes:
        name: of the weights that come out.
        seed: of everything that is drawn.
        backbone: what learns.
        teacher: whose features it learns too, if any.
        data: the labelled sets.
        images: their size and the held-out share.
        augment: of the training images.
        training: batch, epochs and so on.
        evaluation: intervals.
        precision: of the weights as written.
        card: what the weight card says.
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
    def load(cls, path: str | Path) -> PretrainStudy:
        """Reads a pretraining file.

        Raises:
            UserError: no such file, not TOML, or a key or value that is not a pretraining's.
        """
        return cls.of(read_toml(path), str(path))

    @classmethod
    def of(cls, raw: Mapping[str, Any], where: str = "the pretraining") -> PretrainStudy:
        """A pretraining from the tables of its file."""
        sets = raw.get("data")
        if not isinstance(sets, list) or not all(isinstance(each, Mapping) for each in sets):
            raise UserError(f"{where}: needs at least one [[data]] table; a study with [data] is run by `cxrlens run`")
        data = [FindingSet.of(each, f"{where}: [[data]] {number}") for number, each in enumerate(sets, start=1)]
        return parse(cls, {**raw, "data": data}, where)

    @field_validator("data")
    @classmethod
    def _distinct(cls, data: tuple[FindingSet, ...]) -> tuple[FindingSet, ...]:
        if len({each.name for each in data}) < len(data):
            raise ValueError("each set needs a name of its own")
        if all(each.probe_only for each in data):
            raise ValueError("every set has probe_only: there is nothing to learn from")
        return data

    @property
    def findings(self) -> tuple[str, ...]:
        """Every finding that is learned, in the order of the file."""
        return tuple(dict.fromkeys(name for each in self.data if not each.probe_only for name in each.names))

    @property
    def probed(self) -> tuple[str, ...]:
        """Every finding of any set: the learned first."""
        return tuple(dict.fromkeys((*self.findings, *(name for each in self.data for name in each.names))))

    def to_toml(self) -> str:
        """The whole pretraining as a file, defaults written out; `PretrainStudy.of` of it is the same."""
        tables = self.model_dump(mode="json", exclude_none=True)
        tables["data"] = [
            {
                **{key: value for key, value in table.items() if key != "source"},
                "source": next(name for name in SOURCES if SOURCES[name] is type(each.source)),
                **table["source"],
            }
            for each, table in zip(self.data, tables["data"], strict=True)
        ]
        return tomlkit.dumps(tables)
