"""An origin that one class has more often than the other tells the label, and is not used."""

from __future__ import annotations

import numpy as np

from cxrlens.audit.lungs.regions import LEAST, Lungs, choose, one_sided

LABELS = np.arange(40) < 20


def origin(name: str, positive: int, negative: int, refused: tuple[str, ...] = ()) -> Lungs:
    """Known for so many images of each class of `LABELS`."""
    known = np.concatenate([np.arange(20) < positive, np.arange(20) < negative])
    masks = np.repeat(known[:, None, None], 4, 1).repeat(4, 2)
    return Lungs(masks, known, name, f"worth of {name}", refused)


def test_regions_of_one_class_alone_are_refused_with_the_counts() -> None:
    output = one_sided("masks", origin("masks", 18, 0).known, LABELS)
    assert output.startswith("masks exist for 18 of 20 positive and 0 of 20 negative images") and "label" in output
    assert one_sided("masks", origin("masks", 0, 18).known, LABELS)


def test_an_unequal_share_is_refused_and_a_like_one_is_not() -> None:
    assert one_sided("masks", origin("masks", 20, 14).known, LABELS)
    assert not one_sided("masks", origin("masks", 20, 15).known, LABELS)
    assert not one_sided("masks", origin("masks", 8, 8).known, LABELS)


def test_few_of_a_class_are_refused_with_the_number_that_is_needed() -> None:
    assert f"{LEAST} of each" in one_sided("boxes", origin("boxes", LEAST, LEAST - 1).known, LABELS)
    assert not one_sided("boxes", origin("boxes", LEAST, LEAST).known, LABELS)


def test_a_set_without_a_class_is_refused() -> None:
    assert one_sided("masks", np.ones(40, bool), np.ones(40, bool))


def test_the_first_origin_that_is_even_is_taken_and_the_reasons_keep_their_order() -> None:
    result = choose(
        [origin("masks", 20, 0), origin("boxes", 4, 4), origin("segmenter", 20, 20), origin("fallback", 20, 20)], LABELS
    )
    assert (result.origin, result.worth, result.rows.size) == ("segmenter", "worth of segmenter", 40)
    assert [reason.split()[0] for reason in result.refused] == ["masks", "boxes"]


def test_what_an_origin_was_told_before_is_kept() -> None:
    assert choose([origin("masks", 20, 20, ("told before",))], LABELS).refused == ("told before",)


def test_where_nothing_is_left_nobody_knows_and_every_reason_is_there() -> None:
    result = choose([origin("masks", 20, 0), origin("boxes", 1, 1)], LABELS)
    assert result.origin == "none" and not result.known.any() and not result.masks.any() and len(result.masks) == 40
    assert [reason.split()[0] for reason in result.refused] == ["masks", "boxes"]
    assert choose([], LABELS).origin == "none"
