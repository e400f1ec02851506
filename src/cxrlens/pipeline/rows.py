"""The rows of a study that can be trained here, each with the size of its images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cxrlens.errors import UserError
from cxrlens.models.classifier import build_classifier
from cxrlens.models.weights.hub import OutOfReach
from cxrlens.models.weights.trained_size import trained_size
from cxrlens.pipeline.explain.left_out import impossible
from cxrlens.progress import SILENT, Progress
from cxrlens.report.explain_sentences import left_out_sentence
from cxrlens.study import USUAL_SIZE, ImageOptions, ModelRow, Study
from cxrlens.train.loop import training_fault


@dataclass(frozen=True)
class Trainable:
    """A row whose weights are in reach.

    Attributes:
        row: of the study.
        size: side of its images, in pixels.
        without: what of the study's figures its network cannot have → why.
    """

    row: ModelRow
    size: int
    without: Mapping[str, str] = field(default_factory=dict)

    @property
    def sentences(self) -> list[str]:
        """What the figures will do without."""
        return [left_out_sentence(what, self.row.name, why) for what, why in self.without.items()]


def row_size(row: ModelRow, images: ImageOptions, near: Path | None = None) -> int:
    """Side of a row's images in pixels: its own, else the study's; of "weights", what theirs says, else 224.

    Raises:
        UserError: "weights" for a row of weights "auto" that nobody publishes, or (OutOfReach) that are not in reach.
    """
    asked = images.size if row.size is None else row.size
    return asked if asked != "weights" else trained_size(row.weights, row.backbone, near) or USUAL_SIZE


def trainable_rows(
    study: Study, near: Path | None, progress: Progress = SILENT
) -> tuple[list[Trainable], list[dict[str, str]]]:
    """The rows whose weights are in reach, each built once so that a fault shows before hours of training; the others.

    A row that stands in for another is in neither where that one is in reach.

    Raises:
        UserError: a row that can't be built or can't take a training step of its batch, or none whose weights are in
            reach.
    """
    rows, skipped = [], []
    with progress.task("building models", len(study.models)) as task:
        for number, row in enumerate(study.models):
            task.update(number)
            try:
                size = row_size(row, study.images, near)
                model = build_classifier(row, size, study.seeds[0], near)
                if fault := training_fault(model, min(2, row.batch)):
                    raise UserError(fault)
                rows.append(Trainable(row, size, impossible(model, study.explain)))
            except OutOfReach as error:
                progress.say(f"left out: {row.name}: {error}")
                skipped.append({"name": row.name, "reason": error.reason})
            except UserError as error:
                raise UserError(f"model '{row.name}': {error}") from error
    if not rows:
        raise UserError(
            "no model's weights are in reach:\n" + "\n".join(f"- {e['name']}: {e['reason']}" for e in skipped)
        )
    here = {each.row.name for each in rows}
    return [each for each in rows if each.row.instead_of not in here], skipped
