"""The study's `[audit]`: where the lungs are, how much is looked at, the options of single probes."""

from __future__ import annotations

from typing import Any

from pydantic import Field, field_validator

from cxrlens.audit.probes import PROBES
from cxrlens.config import Config, parse
from cxrlens.errors import UserError
from cxrlens.explain.methods import METHODS


class AuditOptions(Config):
    """What a run is audited with; the networks don't depend on it. Paths start from the folder of the study's images.

    Attributes:
        masks: folder of lung masks, PNG, named like the images.
        boxes: table of lung boxes: filename, x, y, width, height as fractions; one row a lung.
        segmenter: `package.module:function` that draws a lung mask.
        severity: table of experts' scores: filename, and one column a score.
        methods: of the maps that are judged.
        images: how many validation images the maps are judged on, both classes; `--full` takes all.
        steps: of deletion, insertion and ROAD.
        options: of single probes, by name.
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


def _check(asked: Any) -> None:
    try:
        asked()
    except UserError as error:  # the same words; the study's place comes before them
        raise ValueError(str(error)) from error
