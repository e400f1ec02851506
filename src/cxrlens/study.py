"""The study file: the images, the split, the models, their training, and the evaluation, explanation and audit."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import tomlkit
from pydantic import BeforeValidator, Field, SerializeAsAny, field_validator, model_validator

from cxrlens.arguments import checked
from cxrlens.audit.audit_options import AuditOptions
from cxrlens.config import Config, parse, read_toml, unknown_key
from cxrlens.data.augment import Augmentation
from cxrlens.data.sources import SOURCES, Source
from cxrlens.data.split import SplitOptions
from cxrlens.errors import UserError, near_miss
from cxrlens.explain.attribution_options import ExplainOptions
from cxrlens.models.classifier import ModelOptions
from cxrlens.names import on_disk, short_name, visible
from cxrlens.train.training_options import TrainingOptions

Interpolation = Literal["nearest", "bilinear", "bicubic"]
# Names that no model's folder may have: the gallery's own file, and the names of devices in Windows.
PORTS = (f"{port}{number}" for port in ("com", "lpt") for number in range(10))
RESERVED = {"images", "con", "prn", "aux", "nul", *PORTS}
USUAL_SIZE = 224  # pixels, in the paper and for most ImageNet weights


def _size(raw: object) -> object:
    if raw == "weights" or (type(raw) is int and 32 <= raw <= 1024):
        return raw
    raise ValueError("needs a whole number from 32 to 1024, or 'weights' for the size that the weights were trained at")


Pixels = Annotated[int, Field(ge=32, le=1024)]
Size = Annotated[int | Literal["weights"], BeforeValidator(_size, json_schema_input_type=Pixels | Literal["weights"])]


class ImageOptions(Config):
    """The study's `[images]`.

    Attributes:
        size: side of the square images that the networks see, in pixels. "weights" takes the size that each
            model's weights were trained at, or 224 where the weights do not state one. A model may set its own size.
        interpolation: method that resizes the images.
        train_interpolation: method that resizes the training images; without it, `interpolation` holds for them too.
    """

    size: Size = USUAL_SIZE
    interpolation: Interpolation = "bicubic"
    train_interpolation: Interpolation | None = None

    @property
    def reference(self) -> int:
        """Size in pixels at which images are compared with each other and displayed.

        It depends on the study alone and not on the weights available on this machine. So every machine finds the same
        duplicates and makes the same split.
        """
        return USUAL_SIZE if self.size == "weights" else self.size


class PaperResult(Config):
    """Result of the paper for a model, printed beside the result of the run.

    Attributes:
        auc: AUC in the paper.
        positives: number of positive images behind that AUC. The interval of the paper's AUC is computed from both
            numbers; without them, the AUC is printed without an interval.
        negatives: number of negative images behind that AUC; given together with `positives`.
    """

    auc: float = Field(ge=0, le=1)
    positives: int | None = Field(default=None, ge=2)
    negatives: int | None = Field(default=None, ge=2)

    @model_validator(mode="after")
    def _both_numbers(self) -> PaperResult:
        if (self.positives is None) != (self.negatives is None):
            raise ValueError("positives and negatives are given together, or neither of them")
        return self


class ModelRow(ModelOptions, TrainingOptions):
    """One of the study's `[[models]]`: the network, its training, and the paper's result.

    Attributes:
        size: side of this model's images in pixels, or "weights"; without it, the size in `[images]` holds.
        views: number of views of each training image that are drawn once, where only the head is trained and
            `[augment]` is continuous (such as a range of brightness). Each step chooses one of them, and the backbone
            computes their features once for all seeds and folds. Without it, every step draws a new view and passes it
            through the backbone. It has no effect on other models.
        instead_of: name of another model. This model is trained only where the weights of that model are not available.
        paper: the paper's AUC and its numbers of images, printed beside the AUC of the run, such as
            `{ auc = 0.672, positives = 79, negatives = 17 }`. Without the numbers, the AUC has no interval.
    """

    size: Size | None = None
    views: int | None = Field(default=None, ge=1, le=1000)
    instead_of: str | None = None
    paper: PaperResult | None = None

    former_keys: ClassVar[Mapping[str, str]] = {
        "paper_auc": "paper = {{ auc = {0} }}, or with the numbers of images, which give an interval: paper = {{ auc = "
        "{0}, positives = 79, negatives = 17 }}"
    }

    def drawn_views(self, augmentation: Augmentation) -> int | None:
        """Number of views of an image that are drawn once; None where `views` is not set or has no effect.

        It has none where the backbone is trained, which needs the pixels at every step, where the training images are
        not augmented, and where the augmentation has few variants, all of which are used.

        Args:
            augmentation: the study's `[augment]`.
        """
        continuous = self.augment and augmentation.variants is None
        return self.views if continuous and self.trained in ("head", ()) else None


class EvaluationOptions(Config):
    """The study's `[evaluation]`.

    Attributes:
        level: confidence level of the intervals.
        draws: number of bootstrap draws over patients for the audit's rank correlations. AUCs need no bootstrap.
        seed: seed of the bootstrap and of the audit's other random draws.
    """

    level: float = Field(default=0.95, gt=0, lt=1)
    draws: int = Field(default=2000, ge=100)
    seed: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _enough_draws(self) -> EvaluationOptions:
        if self.draws < (minimum := least_draws(self.level)):
            raise ValueError(f"an interval at level {self.level} needs at least {minimum} draws; got {self.draws}")
        return self


def least_draws(level: float) -> int:
    """Smallest number of bootstrap draws that give an interval at a confidence level between 0 and 1.

    >>> least_draws(0.95), least_draws(0.999)
    (39, 1999)
    """
    return math.ceil(2 / (1 - level) - 1e-9) - 1


class Study(Config):
    """A whole study, frozen.

    Attributes:
        name: short name of the study, the title of its report.
        question: question that the study asks, in one sentence.
        seeds: seeds of the training. Each model is trained once with each seed; where the split has folds, once with
            each seed in each fold.
        data: source of the images, and the options of that source.
        images: size of the images and the method that resizes them.
        split: division of the images into a training and a validation set.
        augment: augmentation of the training images, for the models whose `augment` is true.
        models: the models that are trained and compared.
        evaluation: options of the intervals.
        explain: figures that show what the networks look at.
        audit: options of the audit of a finished run.
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
    @checked
    def load(cls, path: str | Path) -> Study:
        """Reads a study file.

        Raises:
            UserError: the file is absent or not TOML, or has an unknown key or a bad value; the nearest key is named.
        """
        return cls.of(read_toml(path), str(path))

    @classmethod
    @checked
    def of(cls, raw: Mapping[str, Any], where: str = "the study") -> Study:
        """Makes a study from the tables of a study file; `[training]` holds the keys that all `[[models]]` share."""
        raw = dict(raw)
        shared = raw.pop("training", {})
        models = raw.get("models")
        if not isinstance(shared, Mapping):
            raise UserError(f"{where}: [training] must be one table; got {shared!r}")
        if isinstance(raw.get("data"), list):
            raise UserError(f"{where} has [[data]] tables, so it is a pretraining file: run it with `cxrlens pretrain`")
        if not isinstance(models, list) or not all(isinstance(row, Mapping) for row in models):
            raise UserError(f"{where}: needs at least one [[models]] table")
        for key in shared:
            if key not in ModelRow.model_fields:
                raise UserError(f"{where}: {unknown_key('key in [training]', key, shared[key], ModelRow)}")
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
            raise UserError(f"[data] needs source = NAME, and the name is a text; got {options['source']!r}")
        kind = SOURCES[options.pop("source")]
        return parse(kind, options, f"[data] of source '{_source_name(kind)}'")

    @field_validator("seeds")
    @classmethod
    def _seeds(cls, seeds: tuple[int, ...]) -> tuple[int, ...]:
        if not seeds or len(set(seeds)) < len(seeds) or min(seeds) < 0 or max(seeds) >= 2**32:
            raise ValueError("needs at least one seed; seeds are different whole numbers from 0 to 4294967295")
        return seeds

    @model_validator(mode="after")
    def _distinct(self) -> Study:
        names = [row.name for row in self.models]
        for name in names:
            if not name.strip() or visible(name) != name:
                raise ValueError(
                    f"a model's name must be one line of visible characters; got {name!r} (tabs, line ends and other "
                    "control characters are not allowed)"
                )
        by_folder: dict[str, str] = {}
        for name in names:
            other = by_folder.setdefault(folder_name(name), name)
            if names.count(name) > 1:
                raise ValueError(f"each model needs its own name; '{name}' is given twice")
            if other != name:
                raise ValueError(
                    f"each model needs its own folder, but '{other}' and '{name}' would share '{folder_name(name)}': "
                    "folder names ignore capitals and most punctuation; make the names differ in a letter or digit"
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
        """Writes the whole study as TOML, with all defaults; `Study.of` reads it back as an equal study."""
        tables = self.model_dump(mode="json", exclude_none=True)
        tables["data"] = {"source": _source_name(type(self.data)), **tables["data"]}
        return tomlkit.dumps(tables)


def read_study(study: Study | str | Path) -> tuple[Study, Path | None]:
    """Reads a study if it is given as a path.

    Returns:
        The study and the path of its file; None instead of the path where a `Study` is given.

    Raises:
        UserError: the file is absent, or is not a study file.
    """
    return (study, None) if isinstance(study, Study) else (Study.load(study), Path(study))


def default_out(study: Study | str | Path) -> Path:
    """Default folder of a study's run, `runs/NAME`: NAME is the name of the study's file, or of a `Study` itself."""
    return Path("runs") / (folder_name(study.name) if isinstance(study, Study) else Path(study).stem)


def folder_name(model: str) -> str:
    """Folder name of a model: lower case, digits, dots and hyphens; a very long name is cut and ends in its hash.

    >>> folder_name("CheXNet, all layers"), folder_name("images")
    ('chexnet-all-layers', 'images-model')
    """
    hyphenated = "".join(char if char.isalnum() or char == "." else "-" for char in model.lower())
    name = short_name("-".join(part for part in hyphenated.split("-") if part).strip(".") or "model")
    return f"{name}-model" if name.partition(".")[0] in RESERVED else on_disk(name)


def _source_name(kind: type[Source]) -> str:
    return next(name for name in SOURCES if SOURCES[name] is kind)
