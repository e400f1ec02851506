"""The sentences below Table 1: so that no row is read as something that it is not."""

from __future__ import annotations

from typing import Any

from cxrlens.report.tables import weight_note_sentences

IMAGENET = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}


def said(given: int = 224, overridden: tuple[str, ...] = (), **weights: Any) -> list[str]:
    known = {
        "name": "chexnet", "asked": "chexnet", "title": "CheXNet", "sha256": "ab", "size": 224,
        "preprocessing": IMAGENET, "input": "ImageNet's mean and standard deviation",
    }  # fmt: skip
    return weight_note_sentences(
        {"models": [{"name": "CheXNet, frozen", "size": given, "overridden": overridden, "weights": known | weights}]}
    )


def test_weights_used_as_they_were_trained_need_no_word() -> None:
    assert said() == [] and weight_note_sentences({"models": [{"name": "of an older run"}]}) == []


def test_other_inputs_are_told_beside_those_of_the_card() -> None:
    assert said(overridden=("preprocessing",)) == [
        "CheXNet, frozen: received images of 224 pixels in [0, 1], but its weights were trained at 224 pixels (input: "
        "ImageNet's mean and standard deviation)"
    ]
    assert said(160, ("size",)) == [
        "CheXNet, frozen: received images of 160 pixels, but its weights were trained at 224 pixels"
    ]
    (both,) = said(160, ("preprocessing", "size"))
    assert "images of 160 pixels in [0, 1], but its weights were trained at 224 pixels (input: ImageNet's" in both


def test_weights_without_a_card_have_their_inputs_in_numbers() -> None:
    (sentence,) = said(overridden=("preprocessing",), name="w.pt", asked="w.pt", size=None, input="")
    assert sentence.endswith("its weights were trained (input: (x - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225])")


def test_a_row_in_another_ones_place_is_named() -> None:
    model = {"name": "ours", "instead_of": "CheXNet, frozen"}
    assert weight_note_sentences({"models": [model]}) == [
        "ours: used in place of 'CheXNet, frozen', whose weights are not on this machine"
    ]


def test_a_stand_in_and_what_auto_came_to_are_named() -> None:
    assert said(name="xrv-nih") == ["CheXNet, frozen: 'chexnet' is not on this machine; 'xrv-nih' is used instead"]
    assert said(name="xrv-nih", asked="auto") == [
        "CheXNet, frozen: 'auto' selected 'xrv-nih', the best weights on this machine"
    ]
    assert len(said(160, ("size",), name="xrv-nih")) == 2
