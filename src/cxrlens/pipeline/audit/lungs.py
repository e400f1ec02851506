"""Where the lungs of a run's images are: what the study names, in the audit's order of trust."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from cxrlens.audit.lungs.boxes import from_table
from cxrlens.audit.lungs.fallback import fallback
from cxrlens.audit.lungs.masks import from_folder, squared
from cxrlens.audit.lungs.regions import Lungs, choose
from cxrlens.audit.lungs.segmenter import from_segmenter
from cxrlens.errors import UserError
from cxrlens.pipeline.prepare import Prepared


class LungStore:
    """The lungs of any of a run's images at any size; a source's own masks are read once.

    Raises:
        UserError: the study names a folder, table or segmenter that is not there or not of its form.
    """

    def __init__(self, prepared: Prepared, root: Path | None) -> None:
        self.prepared, self.root, self.options = prepared, root, prepared.study.audit
        self._own: dict[str, np.ndarray | None] = {}

    def at(self, size: int, validation: Sequence[str], training: Sequence[str], pixels: np.ndarray) -> list[Lungs]:
        """Of validation and training images, from one origin, which the validation images decide.

        Args:
            size: side of the squares.
            validation: names, [n].
            training: names, [m].
            pixels: float32 [n + m, size, size] in [0, 1], of both.
        """
        images = [*validation, *training]
        absent: list[str] = []
        found = [each for each in self._origins(images, size, pixels, absent) if each is not None]
        first, rest = slice(None, len(validation)), slice(len(validation), None)
        labels = self.prepared.labels.loc[list(validation)].to_numpy() == 1
        offered = [_part(each, first) for each in found]
        chosen = choose(offered, labels)
        chosen = replace(chosen, refused=(*absent, *chosen.refused))
        if chosen.origin == "none":
            return [chosen, Lungs(np.zeros((len(training), 1, 1), bool), np.zeros(len(training), bool), "none")]
        # By the masks themselves: a folder's and a source's own are both called "masks".
        whole = next(all_of for all_of, part in zip(found, offered, strict=True) if part.masks is chosen.masks)
        return [chosen, _part(whole, rest)]

    def _origins(self, images: list[str], size: int, pixels: np.ndarray, absent: list[str]) -> list[Lungs | None]:
        options = self.options
        masks, boxes = (self._beside(what, getattr(options, what), absent) for what in ("masks", "boxes"))
        return [
            from_folder(masks, images, size) if masks else None,
            self._of_source(images, size),
            from_table(boxes, images, size) if boxes else None,
            from_segmenter(options.segmenter, pixels) if options.segmenter else None,
            fallback(len(images), size),
        ]

    def _of_source(self, images: list[str], size: int) -> Lungs | None:
        paths = self.prepared.cohort.table.set_index("image")["path"]
        for image in images:
            if image not in self._own:
                self._own[image] = self.prepared.study.data.lungs(paths[image])
        own = [self._own[image] for image in images]
        if all(mask is None for mask in own):
            return None
        masks = np.stack([np.zeros((size, size), bool) if mask is None else squared(mask, size) for mask in own])
        return Lungs(masks, np.array([mask.any() for mask in masks]), "masks", "the lungs that the source itself knows")

    def _beside(self, what: str, name: str | None, absent: list[str]) -> Path | None:
        if name is None:
            return None
        if self.root is None:
            raise UserError(f"[audit] {what}: '{name}' starts from the folder of the images, and this source has none")
        if not (self.root / name).exists():  # a public copy of the images may come without them
            absent.append(f"{what}: there is no {name} in the folder of the images")
            return None
        return self.root / name


def _part(lungs: Lungs, rows: slice) -> Lungs:
    return replace(lungs, masks=lungs.masks[rows], known=lungs.known[rows])
