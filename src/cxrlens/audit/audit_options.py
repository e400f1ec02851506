"""The study's `[audit]`: lung masks, the maps that are evaluated, and the options of individual probes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pydantic import Field, field_validator

from cxrlens.audit.probes import PROBES, ModelProbe
from cxrlens.config import Config, parse
from cxrlens.errors import UserError
from cxrlens.explain.methods import METHODS


class AuditOptions(Config):
    """Options of a run's audit. The networks do not depend on them. Relative paths start from the data folder.

    Attributes:
        with_run: whether `cxrlens run` also audits the run. By default, only `cxrlens audit` does.
        masks: folder of lung masks: PNG files with the names of the images.
        boxes: table of lung boxes with the columns filename, x, y, width and height, in fractions of the image; one row
            per lung.
        segmenter: Python function that makes a lung mask, as `package.module:function`.
        severity: table of experts' severity scores: the column filename, and one column per score.
        methods: attribution methods whose maps are evaluated.
        images: number of validation images, of both classes, whose maps are evaluated; `--full` takes all.
        steps: number of steps in the deletion, insertion and ROAD curves.
        skip: names of tests of the networks that are left out, to save time; the report names them.
        options: options of individual tests, a table for each test.
    """

    with_run: bool = False
    masks: str | None = None
    boxes: str | None = None
    segmenter: str | None = None
    severity: str | None = None
    methods: tuple[str, ...] = Field(default=("grad_cam", "saliency"), min_length=1)
    images: int = Field(default=24, ge=4)
    steps: int = Field(default=10, ge=2, le=100)
    skip: tuple[str, ...] = ()
    options: dict[str, dict[str, Any]] = Field(default_factory=dict)

    @field_validator("methods")
    @classmethod
    def _methods(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            _check(lambda name=name: METHODS[name])
        return names

    @field_validator("skip")
    @classmethod
    def _skip(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            _check(lambda name=name: PROBES[name])
            if not issubclass(PROBES[name], ModelProbe) or PROBES[name].by_choice:
                left_out = [probe for probe in PROBES if issubclass(PROBES[probe], ModelProbe)]
                left_out = [probe for probe in left_out if not PROBES[probe].by_choice]
                raise ValueError(f"only tests of the networks can be left out: {', '.join(left_out)}; got '{name}'")
        return names

    @field_validator("options")
    @classmethod
    def _options(cls, tables: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        for name, table in tables.items():
            _check(lambda name=name, table=table: parse(PROBES[name], table, f"options.{name}"))
        return tables


def _check(look_up: Callable[[], object]) -> None:
    try:
        look_up()
    except UserError as error:  # pydantic puts the place in the study before the message
        raise ValueError(str(error)) from error
