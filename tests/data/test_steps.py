"""Steps of the readers counted by kind."""

from __future__ import annotations

import pandas as pd
import pytest

from cxrlens.data.steps import group_steps, image_warnings, reading_notes, reading_sentences, step_list


@pytest.mark.parametrize(
    ("steps", "kind"),
    [
        (["warning: only 40 x 50 pixels", "warning: only 63 x 9 pixels"], "only … x … pixels"),
        (["16-bit file read as 12 bits (largest value 9)"] * 2, "16-bit file read as 12 bits (largest value 9)"),
        (
            ["16-bit file read as 12 bits (largest value 9)", "16-bit file read as 12 bits (largest value 8)"],
            "16-bit file read as 12 bits",
        ),
        (["window 3000 wide at -1.5 (linear)", "window 5 wide at 2e+03 (linear)"], "window … wide at …"),
        (
            ["warning: bad value in (0028,1050): 5", "warning: bad value in (0028,1050): 6"],
            "bad value in (0028,1050): …",
        ),
        (
            [
                "DICOM without a display window, darkest value shown black, brightest white (0 to 4095)",
                "DICOM without a display window, darkest value shown black, brightest white (-7 to 2.5)",
            ],
            "DICOM without a display window, darkest value shown black, brightest white",
        ),
        (["MONOCHROME1 inverted", "MONOCHROME1 inverted"], "MONOCHROME1 inverted"),
        (
            ["warning: Invalid value for VR UI: '1.2.840.7'", "warning: Invalid value for VR UI: '1.3.6'"],
            "Invalid value for VR UI: '…'",
        ),
    ],
)
def test_numbers_and_details_do_not_split_a_kind(steps: list[str], kind: str) -> None:
    (group,) = group_steps(["a", "b"], steps)
    assert group.kind == kind and group.images == ("a", "b") and group.warning == steps[0].startswith("warning")


def test_depths_and_tags_are_kinds_of_their_own() -> None:
    steps = ["16-bit file read as 12 bits (x 1)", "16-bit file read as 10 bits (x 2)", "warning: (0028,1050) 1",
             "warning: (0028,1051) 1"]  # fmt: skip
    assert len(group_steps("abcd", steps)) == 4


def test_warnings_come_first_then_the_frequent_and_an_image_counts_once() -> None:
    steps = [
        "RGB to grey",
        "RGB to grey; warning: odd 1; warning: odd 2",
        float("nan"),
        None,
        ["warning: rare", "x; y"],
    ]
    groups = group_steps("abcde", steps)  # type: ignore[arg-type]
    assert [(group.kind, group.images) for group in groups] == [
        ("odd 1", ("b",)), ("rare", ("e",)), ("RGB to grey", ("a", "b")), ("x; y", ("e",)),
    ]  # fmt: skip
    assert groups[0].to_json() == {"kind": "odd 1", "warning": True, "count": 1, "images": ["b"]}


def test_the_first_few_images_are_named_and_many_kinds_are_counted() -> None:
    facts = pd.DataFrame(
        {
            "image": [f"{number}.png" for number in range(20)],
            "steps": [f"warning: kind {'abcdefghij'[number % 10]}" for number in range(20)],
            "depth": pd.array([12] * 20, dtype="Int64"),
            "bits": 16,
        }
    )
    sentences = reading_sentences(facts)
    assert sentences[0] == "2 images: kind a (first: 0.png)"
    assert len(sentences) == 9 and sentences[-1].startswith("and 2 more kinds")
    (group,) = group_steps(facts["image"], ["warning: x"] * 20)
    assert group.sentence == "20 images: x (first: 0.png)" and group.names == "0.png, 1.png, 2.png…"
    few, one = (group_steps(names, ["warning: only 48 x 48 pixels"] * len(names))[0] for names in ("ab", "a"))
    assert few.sentence == "2 images have only 48 x 48 pixels (first: a)"
    assert one.sentence == "1 image has only 48 x 48 pixels (a)"


def test_bits_that_files_agree_in_are_a_note_and_bits_that_they_do_not_are_a_warning() -> None:
    read = "16-bit file read as 12 bits (largest value 4095)"
    facts = pd.DataFrame({"image": ["a", "b"], "steps": read, "depth": 12, "bits": 16})
    assert reading_sentences(facts) == []
    (note,) = reading_notes(facts)
    assert note == "2 16-bit files hold 12-bit values (judged by their values): 0 is black, 4095 is white"
    facts["steps"] = ["16-bit file read as 12 bits (its sBIT says so)", read]
    assert "(judged by their headers or values)" in reading_notes(facts)[0]
    assert reading_notes(facts[:1])[0].startswith("1 16-bit file holds 12-bit values (judged by its headers)")
    facts["steps"] = "white is zero, inverted"
    assert reading_notes(facts)[0].endswith("(judged by their values)")  # 0 is white there
    facts["depth"] = [12, 16]
    assert reading_notes(facts) == []
    (warning,) = reading_sentences(facts)
    assert warning == "2 image files of more than 8 bits are not read alike: 12 bits (1), 16 bits (1)"
    assert reading_notes(facts[1:]) == reading_sentences(facts[1:]) == []


def test_the_steps_of_one_image_are_read_from_both_forms() -> None:
    assert step_list("a; b") == step_list(["a", "b"]) == ["a", "b"] and step_list("") == []
    assert image_warnings("warning: a; b; warning: c") == ["a", "c"]
