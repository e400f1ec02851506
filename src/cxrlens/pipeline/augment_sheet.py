"""The contact sheet of a study's augmentations, on images of its training side."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from cxrlens.data.augment_combinations import SIX, combinations
from cxrlens.data.seeds import generator
from cxrlens.errors import UserError
from cxrlens.files import write_atomically
from cxrlens.outputs import check_output, picture_by, picture_facts
from cxrlens.pipeline.prepare import prepare
from cxrlens.progress import SILENT, Progress
from cxrlens.report.augment_sheet import augment_sheet as sheet
from cxrlens.study import Study, read_study

FORMATS = (".png", ".pdf", ".svg")


def augment_sheet(
    study: Study | str | Path,
    data: str | Path | None = None,
    *,
    out: str | Path,
    images: int = 4,
    seed: int = 0,
    progress: Progress = SILENT,
    force: bool = False,
) -> tuple[str, ...]:
    """Writes the sheet: the original, each of the six, all six, and the study's own `[augment]` where it has one.

    Args:
        study: a study, or its file; its training side is drawn from, of both classes in turn.
        data: the folder of the study's images; None for a source that needs none.
        out: the picture; its ending says the format.
        images: how many.
        seed: of the images and the draws.
        progress: where reading the images is shown.
        force: write over a file that is no such sheet; never over one below `data`.

    Returns:
        The names of the images that were drawn.

    Raises:
        UserError: another ending than `FORMATS`, `out` names what must not be written over, or see `prepare`.
    """
    study, _ = read_study(study)
    data, out = Path(data) if data is not None else None, Path(out)
    if out.suffix.lower() not in FORMATS:
        raise UserError(f"the sheet needs a file that ends in {', '.join(FORMATS)}; got {out}")
    check_output(out, "the sheet", picture_by("augment-sheet"), folders=[data] if data is not None else [], force=force)
    prepared = prepare(study, data, progress)
    names = _chosen(prepared.splits[0].train, prepared.labels.to_dict(), images, seed)
    _, trained_on = prepared.pixels.at(study.images.reference)
    pixels = trained_on.batch(names).astype(np.float32) / 255
    known = combinations()
    columns = {**SIX, "all six": known["all_six"]}
    if not study.augment.is_identity:
        columns["this study"] = study.augment
    figure = sheet(list(pixels), names, columns, seed)
    write_atomically(out, lambda draft: figure.savefig(draft, dpi=150, metadata=picture_facts(out, "augment-sheet")))
    return names


def _chosen(train: tuple[str, ...], label: dict[str, float], images: int, seed: int) -> tuple[str, ...]:
    """Positive and negative in turn."""
    shuffled = generator(seed).permutation(np.array(train, dtype=object)).tolist()
    sides = [[name for name in shuffled if label[name] == wanted] for wanted in (1, 0)]
    turns = sorted((turn, side) for side, some in enumerate(sides) for turn in range(len(some)))
    return tuple(sides[side][turn] for turn, side in turns[:images])
