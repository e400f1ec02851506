"""The study's `[audit]`: where the lungs are, how many images the maps are tested on, the options of single probes."""

from __future__ import annotations

from typing import Any

from pydantic import Field, field_validator

from cxrlens.audit.probes import PROBES
from cxrlens.config import Config, parse
from cxrlens.errors import UserError
from cxrlens.explain.methods import METHODS


class AuditOptions(Config):
    """Options of the audit; training does not depend on them. Paths are relative to the folder of the study's images.

    Attributes:
        masks: folder of lung masks as PNG files, named like the images.
        boxes: table of lung boxes with the columns filename, x, y, width and height, as fractions; one row for each
            lung.
        segmenter: `package.module:function` that returns a lung mask of an image.
        severity: table of experts' scores with the column filename and one column for each score.
        methods: names of the attribution methods whose maps are tested.
        images: number of validation images, of both classes, that the maps are tested on; `--full` takes all.
        steps: number of steps of deletion, insertion and ROAD.
        options: name of a probe → its options.
    """

    masks: str | None = None
    boxes: str | None = None
    segmenter: str | None = None
    severity: str | None = None
    methods: tuple[str, ...] = Field(default=("grad_cam", "saliency"), min_length=1)
    images: int = Field(default=24, ge=4)
    steps: int = Field(default=10, ge=2, le=100)
    options: dict[str, dict[str, Any]] = Field(default_factory=dict)

    @field_validator("methods")
    @classmethod
    def _methods(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            _check(lambda name=name: METHODS[name])
        return names

    @field_validator("options")
    @classmethod
    def _options(cls, tables: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        for name, table in tables.items():
            _check(lambda name=name, table=table: parse(PROBES[name], table, f"options.{name}"))
        return tables


def _check(validate: Any) -> None:
    try:
        validate()
    except UserError as error:  # pydantic takes a ValueError and puts the place in the study before its message
        raise ValueError(str(error)) from error
