"""What is wrong or odd with a cohort's images: unreadable, there twice, under two patient ids, known from metadata."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from cxrlens.data.associations import Association, associations
from cxrlens.data.cache import ImageCache
from cxrlens.data.cohort import Cohort
from cxrlens.data.duplicates import Duplicates, Pair, find_duplicates, merge_groups

__all__ = ["Duplicates", "Integrity", "Pair", "examine", "find_duplicates", "merge_groups"]


@dataclass(frozen=True)
class Integrity:
    """What an examination found.

    Attributes:
        absent: image → why the source has no file for it.
        unreadable: image → why its file was rejected.
        duplicates: images that are there twice.
        groups: patient → group; patients who share an image are one. For `make_splits`.
        associations: how well each column alone tells the label, the most telling first.
    """

    absent: dict[str, str]
    unreadable: dict[str, str]
    duplicates: Duplicates
    groups: dict[str, str]
    associations: tuple[Association, ...]

    @property
    def two_ids(self) -> tuple[Pair, ...]:
        """Duplicates that the source files under two patients."""
        return tuple(pair for pair in self.duplicates.pairs if pair.two_ids)

    @property
    def one_patient(self) -> tuple[tuple[str, ...], ...]:
        """The patient ids that are one patient, where there are several."""
        members: dict[str, list[str]] = {}
        for patient, group in self.groups.items():
            members.setdefault(group, []).append(patient)
        return tuple(tuple(ids) for ids in members.values() if len(ids) > 1)

    @property
    def conflicts(self) -> tuple[Pair, ...]:
        """Duplicates that are labelled positive here and negative there."""
        return tuple(pair for pair in self.duplicates.pairs if pair.conflict)


def examine(cohort: Cohort, cache: ImageCache, progress: Callable[[int, int], None] | None = None) -> Integrity:
    """Looks at every readable image of a cohort.

    Args:
        cohort: as its source lists it.
        cache: of its images.
        progress: told how far the search for duplicates is: (done, of how many).
    """
    sha256 = dict(zip(cache.facts["image"], cache.facts["sha256"], strict=True))
    duplicates = find_duplicates(cohort.table, cache.pixels, cache.index, sha256, progress)
    groups = merge_groups(cohort.table, duplicates.pairs)
    return Integrity(
        absent={image: cohort.missing[image] for image in cohort.images if image in cohort.missing},
        unreadable={
            image: cache.missing[image]
            for image in cohort.images
            if image in cache.missing and image not in cohort.missing
        },
        duplicates=duplicates,
        groups=groups,
        associations=associations(cohort.table, cache.facts, groups),
    )
