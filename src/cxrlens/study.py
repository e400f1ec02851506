"""The study: one file that says which images, which split, which models, trained how, judged how."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import tomlkit
from pydantic import BeforeValidator, Field, SerializeAsAny, field_validator, model_validator

from cxrlens.audit.audit_options import AuditOptions
from cxrlens.config import Config, parse, read_toml
from cxrlens.data.augment import Augmentation
from cxrlens.data.sources import SOURCES, Source
from cxrlens.data.split import SplitOptions
from cxrlens.errors import UserError, near_miss
from cxrlens.explain.attribution_options import ExplainOptions
from cxrlens.models.classifier import ModelOptions
from cxrlens.names import on_disk, short_name, visible
from cxrlens.train.training_options import TrainingOptions

Interpolation = Literal["nearest", "bilinear", "bicubic"]
# The gallery's own file, and what Windows takes for a device.
TAKEN = {"images", "con", "prn", "aux", "nul", *(f"{port}{number}" for port in ("com", "lpt") for number in range(10))}
USUAL_SIZE = 224  # pixels: the paper's, and ImageNet's


def _size(raw: object) -> object:
    if raw == "weights" or (type(raw) is int and 32 <= raw <= 1024):
        return raw
    raise ValueError("needs a whole number from 32 to 1024, or 'weights' for the size that they were trained at")


Pixels = Annotated[int, Field(ge=32, le=1024)]
Size = Annotated[int | Literal["weights"], BeforeValidator(_size, json_schema_input_type=Pixels | Literal["weights"])]


class ImageOptions(Config):
    """The study's `[images]`.

    Attributes:
        size: side of the square that networks see, in pixels; "weights" is the side that each row's weights were
            trained at, 224 for those that say nothing of it. A row may have a size of its own.
        interpolation: how images are resized.
        train_interpolation: the same for training images, where it differs.
    """

    size: Size = USUAL_SIZE
    interpolation: Interpolation = "bicubic"
    train_interpolation: Interpolation | None = None

    @property
    def reference(self) -> int:
        """The size at which images are compared with each other and looked at.

        The study alone decides it, not the weights that are in reach, so that the sides are the same everywhere.
        """
        return USUAL_SIZE if self.size == "weights" else self.size


class ModelRow(ModelOptions, TrainingOptions):
    """One of the study's `[[models]]`: what it is, how it is trained, and what the paper found.

    Attributes:
        size: side of its images, where it isn't the study's.
        instead_of: name of another row; this one is run only where that one's weights are out of reach.
        paper_auc: the validation AUC to print beside ours.
    """

    size: Size | None = None
    instead_of: str | None = None
    paper_auc: float | None = Field(default=None, ge=0, le=1)


class EvaluationOptions(Config):
    """The study's `[evaluation]`.

    Attributes:
        level: of the intervals.
        draws: of the bootstrap over patients, which the audit's rank correlations need; AUCs need none.
        seed: of the bootstrap, and of the audit's own draws.
    """

    level: float = Field(default=0.95, gt=0, lt=1)
    draws: int = Field(default=2000, ge=100)
    seed: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _enough_draws(self) -> EvaluationOptions:
        if self.draws < (least := least_draws(self.level)):
            raise ValueError(f"an interval at level {self.level} needs at least {least} draws; got {self.draws}")
        return self


def least_draws(level: float) -> int:
    """The fewest draws that an interval at this level, between 0 and 1, can be read from.

    >>> least_draws(0.95), least_draws(0.999)
    (39, 1999)
    """
    return math.ceil(2 / (1 - level) - 1e-9) - 1


class Study(Config):
    """A whole study, frozen.

    Attributes:
        name: short.
        question: what it asks, in a sentence.
        seeds: each model is trained once a seed (and once a fold, where the split has folds).
        data: the source and its options.
        images: how they are resized.
        split: training and validation sides.
        augment: of the training images, for the models that want it.
        models: the ladder.
        evaluation: intervals.
        explain: figures of what the networks look at.
        audit: what a finished run is audited with.
    """

    name: str = Field(min_length=1)
    question: str = ""
    seeds: tuple[int, ...] = (0,)
    data: SerializeAsAny[Source]
    images: ImageOptions = ImageOptions()
    split: SplitOptions = SplitOptions()
    augment: Augmentation = Augmentation()
    models: tuple[ModelRow, ...] = Field(min_length=1)
    evaluation: EvaluationOptions = EvaluationOptions()
    explain: ExplainOptions = ExplainOptions()
    audit: AuditOptions = AuditOptions()

    @classmethod
    def load(cls, path: str | Path) -> Study:
        """Reads a study file.

        Raises:
            UserError: no such file, not TOML, or a key or value that is not a study's; the nearest key is named.
        """
        return cls.of(read_toml(path), str(path))

    @classmethod
    def of(cls, raw: Mapping[str, Any], where: str = "the study") -> Study:
        """A study from the tables of a study file; `[training]` holds what all `[[models]]` share."""
        raw = dict(raw)
        shared = raw.pop("training", {})
        models = raw.get("models")
        if not isinstance(shared, Mapping):
            raise UserError(f"{where}: [training] is one table of keys; got {shared!r}")
        if isinstance(raw.get("data"), list):
            raise UserError(f"{where} has several [[data]] tables, as a pretraining has: `cxrlens pretrain` runs it")
        if not isinstance(models, list) or not all(isinstance(row, Mapping) for row in models):
            raise UserError(f"{where}: needs at least one [[models]] table")
        for key in shared:
            if key not in ModelRow.model_fields:
                raise UserError(f"{where}: {near_miss('key in [training]', key, ModelRow.model_fields)}")
        raw["models"] = [
            parse(ModelRow, {**shared, **row}, f"{where}: [[models]] {number} ({row.get('name', 'without a name')})")
            for number, row in enumerate(models, start=1)
        ]
        return parse(cls, raw, where)

    @field_validator("data", mode="before")
    @classmethod
    def _source(cls, raw: object) -> object:
        if not isinstance(raw, Mapping):
            return raw
        options = dict(raw)
        if "source" not in options:
            raise UserError(f"[data] needs source = NAME; known: {', '.join(SOURCES)}")
        if not isinstance(options["source"], str):
            raise UserError(f"[data] needs source = NAME, a text; got {options['source']!r}")
        kind = SOURCES[options.pop("source")]
        return parse(kind, options, f"[data] of source '{_source_name(kind)}'")

    @field_validator("seeds")
    @classmethod
    def _seeds(cls, seeds: tuple[int, ...]) -> tuple[int, ...]:
        if not seeds or len(set(seeds)) < len(seeds) or min(seeds) < 0 or max(seeds) >= 2**32:
            raise ValueError("needs at least one seed, all different, whole numbers from 0")
        return seeds

    @model_validator(mode="after")
    def _distinct(self) -> Study:
        names = [row.name for row in self.models]
        for name in names:
            if not name.strip() or visible(name) != name:
                raise ValueError(
                    f"a model's name is one line of signs that can be seen; got {name!r} (tabs, line ends and other "
                    "control characters have no place in it)"
                )
        by_folder: dict[str, str] = {}
        for name in names:
            other = by_folder.setdefault(folder_name(name), name)
            if names.count(name) > 1:
                raise ValueError(f"each model needs a name of its own; '{name}' comes twice")
            if other != name:
                raise ValueError(
                    f"each model needs a folder of its own, and '{other}' and '{name}' would share "
                    f"'{folder_name(name)}': capitals and most signs do not count; tell them apart by a letter or digit"
                )
        for row in self.models:
            if row.instead_of is not None and row.instead_of not in {*names} - {row.name}:
                raise ValueError(f"{row.name}: instead_of: {near_miss('model', row.instead_of, names)}")
        return self

    def __repr__(self) -> str:
        models = f"{len(self.models)} model{'' if len(self.models) == 1 else 's'}"
        seeds = f", {len(self.seeds)} seeds" if len(self.seeds) > 1 else ""
        names = "".join(f"\n  {row.name}: {row.backbone}, {row.weights} weights" for row in self.models)
        source = _source_name(type(self.data))
        return f"Study '{self.name}': {models} on images of '{source}', split '{self.split.kind}'{seeds}{names}"

    __str__ = __repr__

    def to_toml(self) -> str:
        """The whole study as a file, defaults written out; `Study.of` of it is the same study."""
        tables = self.model_dump(mode="json", exclude_none=True)
        tables["data"] = {"source": _source_name(type(self.data)), **tables["data"]}
        return tomlkit.dumps(tables)


def read_study(study: Study | str | Path) -> tuple[Study, Path | None]:
    """A study, and the file it was read from; None where it is a `Study` already.

    Raises:
        UserError: no such file, or it is no study file.
    """
    return (study, None) if isinstance(study, Study) else (Study.load(study), Path(study))


def default_out(study: Study | str | Path) -> Path:
    """The folder of a study's run where the user names none: `runs/NAME`, after the study's file where it has one."""
    return Path("runs") / (folder_name(study.name) if isinstance(study, Study) else Path(study).stem)


def folder_name(model: str) -> str:
    """A model's name as a folder: lower case, digits, dots and hyphens; a very long one ends in a hash of all of it.

    >>> folder_name("CheXNet, all layers"), folder_name("images")
    ('chexnet-all-layers', 'images-model')
    """
    kept = "".join(each if each.isalnum() or each == "." else "-" for each in model.lower())
    name = short_name("-".join(part for part in kept.split("-") if part).strip(".") or "model")
    return f"{name}-model" if name.partition(".")[0] in TAKEN else on_disk(name)


def _source_name(kind: type[Source]) -> str:
    return next(name for name in SOURCES if SOURCES[name] is kind)
