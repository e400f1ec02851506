"""The cohort's images as squares of every size that a study's rows ask for, each decoded once."""

from __future__ import annotations

from cxrlens.data.cache import ImageCache, build_cache
from cxrlens.data.cohort import Cohort
from cxrlens.progress import SILENT, Progress
from cxrlens.study import ImageOptions


class Pixels:
    """Images by size; a size that nobody asked for is not decoded."""

    def __init__(self, cohort: Cohort, options: ImageOptions, progress: Progress = SILENT) -> None:
        self._cohort, self._options, self._progress = cohort, options, progress
        self._made: dict[tuple[int, str], ImageCache] = {}

    def at(self, size: int) -> tuple[ImageCache, ImageCache]:
        """The images as they are validated and as they are trained on: one and the same unless the study says not.

        Raises:
            UserError: none can be read, or the cache folder cannot be written.
        """
        usual = self._options.interpolation
        return self._decoded(size, usual), self._decoded(size, self._options.train_interpolation or usual)

    def _decoded(self, size: int, interpolation: str) -> ImageCache:
        if (size, interpolation) not in self._made:
            self._made[size, interpolation] = decoded(self._cohort, size, interpolation, self._progress)
        return self._made[size, interpolation]


def decoded(
    cohort: Cohort, size: int, interpolation: str, progress: Progress = SILENT, depth: int | None = None
) -> ImageCache:
    """The cohort's images as squares, read once and kept; `depth` as in `build_cache`.

    Raises:
        UserError: none can be read, or the cache folder cannot be written.
    """
    with progress.task("reading images", len(cohort)) as task:
        return build_cache(cohort, size, interpolation, progress=task.update, depth=depth)
