"""Names of augmentations, alone and joined."""

from __future__ import annotations

import pytest

from cxrlens.data.augment import SIX, Augmentation, combinations, named_combination, together, turned_on
from cxrlens.errors import UserError


def test_each_of_the_six_turns_on_itself_alone():
    assert list(SIX) == list(Augmentation.model_fields)
    for name, augmentation in SIX.items():
        assert list(turned_on(augmentation)) == [name]


def test_the_default_comparison_is_none_the_six_the_papers_and_all():
    known = combinations()
    assert list(known) == ["none", *SIX, "paper", "all_six"]
    assert known["none"].is_identity
    assert known["paper"] == Augmentation(horizontal_flip=True, brightness=(0.5, 1.2))
    assert list(turned_on(known["all_six"])) == list(SIX)


def test_a_studys_own_is_added_where_it_is_another():
    own = Augmentation(rotation=3)
    assert combinations(own)["study"] == own
    assert "study" not in combinations(Augmentation())
    assert "study" not in combinations(Augmentation(horizontal_flip=True, brightness=(0.5, 1.2)))


def test_joined_names_are_together_and_the_later_strength_holds():
    known = combinations(Augmentation(rotation=3))
    assert named_combination("rotation + zoom", known) == Augmentation(rotation=10, zoom=(0.9, 1.1))
    assert named_combination("rotation+study", known).rotation == 3
    assert together() == Augmentation()


def test_a_misspelt_name_is_answered_with_the_nearest():
    with pytest.raises(UserError, match=r"unknown augmentation 'rotatoin'; did you mean 'rotation'.*joined|join"):
        named_combination("zoom+rotatoin", combinations())
    with pytest.raises(UserError, match="unknown augmentation ''"):
        named_combination("zoom+", combinations())
