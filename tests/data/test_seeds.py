"""Generators by key: the same keys give the same draws, other keys others."""

from __future__ import annotations

import itertools

import pytest

from cxrlens.data.seeds import generator


def test_the_same_keys_give_the_same_draws_in_any_order_of_asking():
    first, second = generator(42, 1).random(3).tolist(), generator(42, 2).random(3).tolist()
    assert generator(42, 2).random(3).tolist() == second and generator(42, 1).random(3).tolist() == first


def test_other_keys_a_zero_more_or_another_order_give_other_draws():
    keys = [key for size in (1, 2, 3) for key in itertools.product((0, 1, 2), repeat=size)]
    assert len({generator(*key).integers(2**62) for key in keys}) == len(keys)


def test_the_draws_are_the_same_on_every_machine_and_version():
    assert generator(42, 0, 3).integers(1000, size=4).tolist() == [870, 244, 341, 249]


def test_a_key_beyond_32_bits_is_our_own_mistake():
    with pytest.raises(AssertionError, match="whole numbers"):
        generator(2**32)
