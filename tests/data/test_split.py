"""Splits: the paper's row by row, and what must hold of every split by patient."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cxrlens.data.cohort import Cohort, Decoded, cohort_table
from cxrlens.data.split import (
    Split,
    SplitOptions,
    cohort_summary,
    inner_folds,
    leak,
    make_splits,
    refuse_leaks,
    split_warning,
)
from cxrlens.errors import UserError

FRONTAL = ["PA", "AP", "AP Supine", "AP semi erect"]
PAPER = SplitOptions(kind="paper")


def unread(path: str) -> Decoded:
    raise UserError(f"{path} is not to be read here")


def cohort_of(labels: list[float], patients: list[str] | None = None, missing: tuple[int, ...] = ()) -> Cohort:
    images = [f"{number}.png" for number in range(len(labels))]
    table = cohort_table(pd.DataFrame({"image": images, "label": labels, "patient": patients or images}))
    return Cohort("made", table, unread, missing={images[number]: "absent" for number in missing})


@pytest.fixture(scope="module")
def real(shared: Path) -> Cohort:
    """The paper's cohort, read from its metadata alone."""
    root = shared / "data" / "covid-chestxray-2020-05-04"
    rows = pd.read_csv(root / "metadata.csv")
    rows = rows[rows["view"].isin(FRONTAL)]
    rows = rows.assign(image=rows["filename"], patient=rows["patientid"].astype(str))
    rows["label"] = rows["finding"].isin(["COVID-19", "COVID-19, ARDS"]).astype(float)
    listed = cohort_table(rows[["image", "patient", "label", "finding", "view"]])
    absent = {name: "no such file" for name in listed["image"] if not (root / "images" / name).is_file()}
    return Cohort("covid_chestxray", listed, unread, missing=absent)


def test_the_papers_split_is_the_published_one_row_by_row(real: Cohort, shared: Path) -> None:
    published = pd.read_csv(shared / "data" / "covid-chestxray-2020-05-04" / "paper_split.csv")
    (split,) = make_splits(real, PAPER)
    assert split.listed_train == tuple(published.loc[published["split"] == "train", "filename"])
    assert split.listed_validation == tuple(published.loc[published["split"] != "train", "filename"])
    assert (len(split.listed_train), len(split.listed_validation)) == (193, 96)
    usable = set(split.train) | set(split.validation)
    assert set(real.images) - usable == set(real.missing) == {"cavitating-pneumonia-4-day28-PA.png"}


def test_the_summary_of_the_papers_cohort_has_the_published_counts(real: Cohort) -> None:
    splits = make_splits(real, PAPER)
    assert cohort_summary(real, splits) == {
        "images": 289,
        "positive": 233,
        "negative": 56,
        "patients": 180,
        "train": 193,
        "validation": 96,
        "validation_images_of_training_patients": 45,
        "validation_patients_in_training": 34,
        "missing": [{"image": "cavitating-pneumonia-4-day28-PA.png", "reason": "no such file"}],
    }
    warning = split_warning(real.table, splits[0])
    assert warning is not None
    assert warning.startswith("45 of 96 validation images are of patients (34 of them) who are also in training")


@pytest.mark.parametrize("seed", range(20))
def test_the_real_cohort_splits_by_patient_at_the_asked_share_and_prevalence(real: Cohort, seed: int) -> None:
    (split,) = make_splits(real, SplitOptions(seed=seed))
    label = real.table.set_index("image")["label"]
    held_out = label[list(split.listed_validation)]
    assert (held_out == 1).sum() == round(0.33 * 233)
    assert (held_out == 0).sum() == round(0.33 * 56)
    assert not leak(real.table, split)


def test_the_folds_of_the_real_cohort_are_alike(real: Cohort) -> None:
    splits = make_splits(real, SplitOptions(kind="patient-kfold"))
    label = real.table.set_index("image")["label"]
    sizes = [len(split.listed_validation) for split in splits]
    prevalence = [label[list(split.listed_validation)].mean() for split in splits]
    assert [split.fold for split in splits] == [0, 1, 2, 3, 4]
    assert sum(sizes) == 289
    assert max(sizes) - min(sizes) <= 3
    assert max(abs(np.array(prevalence) - 233 / 289)) < 0.03
    assert cohort_summary(real, splits)["folds"] == 5


def test_another_seed_chooses_other_patients(real: Cohort) -> None:
    one, other = (make_splits(real, SplitOptions(seed=seed))[0].validation for seed in (1, 2))
    assert len(set(one) & set(other)) < 0.6 * len(one)


@st.composite
def cohorts(draw: st.DrawFn) -> Cohort:
    """At least five patients of each class, some of both, one to six images each, in any order; some files missing."""
    patients: list[str] = []
    labels: list[float] = []
    for label in (0.0, 1.0):
        for number in range(draw(st.integers(5, 12))):
            count = draw(st.integers(1, 6))
            patients += [f"{label:.0f}-{number}"] * count
            labels += [label] * count
    labels[0] = draw(st.sampled_from([0.0, 1.0]))  # the first patient may have images of both classes
    order = draw(st.permutations(range(len(labels))))
    return cohort_of([labels[k] for k in order], [patients[k] for k in order])


@settings(max_examples=60, deadline=None)
@given(cohorts(), st.integers(0, 10_000), st.sampled_from([0.2, 0.33, 0.5]))
def test_a_split_by_patient_never_leaks_and_is_whole_stratified_and_repeatable(
    cohort: Cohort, seed: int, share: float
) -> None:
    options = SplitOptions(validation=share, seed=seed)
    (split,) = make_splits(cohort, options)
    assert make_splits(cohort, options) == (split,)
    assert not leak(cohort.table, split)
    assert sorted(split.train + split.validation) == sorted(cohort.images)
    position = {name: k for k, name in enumerate(cohort.images)}
    assert list(split.validation) == sorted(split.validation, key=position.__getitem__)
    held_out = cohort.table.set_index("image")["label"][list(split.validation)]
    for label in (0, 1):
        requested = share * (cohort.table["label"] == label).sum()
        assert abs((held_out == label).sum() - requested) <= 4  # a patient has up to six images


@settings(max_examples=60, deadline=None)
@given(cohorts(), st.integers(0, 10_000), st.integers(2, 4))
def test_folds_hold_every_image_once_and_never_leak(cohort: Cohort, seed: int, folds: int) -> None:
    try:
        splits = make_splits(cohort, SplitOptions(kind="patient-kfold", folds=folds, seed=seed))
    except UserError as error:  # a patient with images of both classes can leave a fold without one of them
        assert "both classes" in str(error)
        return
    assert sorted(name for split in splits for name in split.validation) == sorted(cohort.images)
    for split in splits:
        assert not leak(cohort.table, split)
        assert sorted(split.train + split.validation) == sorted(cohort.images)


@settings(max_examples=30, deadline=None)
@given(cohorts(), st.integers(0, 10_000))
def test_inner_folds_stay_inside_the_training_side(cohort: Cohort, seed: int) -> None:
    train = [name for name in cohort.images if not name.startswith("1")]
    try:
        splits = inner_folds(cohort.table, train, 3, seed)
    except UserError:
        return
    assert sorted(name for split in splits for name in split.validation) == sorted(train)
    assert all(set(split.train) | set(split.validation) == set(train) for split in splits)
    assert not any(leak(cohort.table, split) for split in splits)


@settings(max_examples=30, deadline=None)
@given(cohorts(), st.integers(0, 10_000), st.data())
def test_a_missing_file_moves_no_other_image(cohort: Cohort, seed: int, data: st.DataObject) -> None:
    gone = data.draw(st.sampled_from(cohort.images))
    for kind in ("patient", "paper"):
        options = SplitOptions(kind=kind, seed=seed)
        try:
            (whole,) = make_splits(cohort, options)
            (split,) = make_splits(cohort.with_missing({gone: "absent"}), options)
        except UserError as error:
            assert "both classes" in str(error)
            continue
        assert split == whole.without([gone])
        assert split.listed_train == whole.listed_train


def test_unlabelled_rows_take_no_part() -> None:
    cohort = cohort_of([1, 0, np.nan, 1, 0, np.nan, 1, 0])
    (split,) = make_splits(cohort, SplitOptions())
    assert not {"2.png", "5.png"} & set(split.listed_train + split.listed_validation)
    assert cohort_summary(cohort, [split])["images"] == 8


def test_patients_of_one_group_stay_on_one_side_unless_the_study_says_otherwise() -> None:
    cohort = cohort_of([1.0] * 10 + [0.0] * 10)
    groups = {f"{number}.png": "one" for number in range(6)}
    for seed in range(10):
        (split,) = make_splits(cohort, SplitOptions(seed=seed), groups)
        assert not leak(cohort.table, split, groups)
    apart = [make_splits(cohort, SplitOptions(seed=s, merge_duplicates=False), groups)[0] for s in range(10)]
    assert any(leak(cohort.table, split, groups) for split in apart)


def test_a_leak_names_its_images_and_patients() -> None:
    table = cohort_of([1, 1, 0, 0, 1], ["a", "a", "b", "c", "a"]).table
    split = Split(
        "paper", 0, ("0.png", "2.png"), ("1.png", "3.png", "4.png"), ("0.png", "2.png"), ("1.png", "3.png", "4.png")
    )
    shared = leak(table, split)
    assert (shared.images, shared.patients, shared.validation) == (("1.png", "4.png"), ("a",), 3)
    assert leak(table, split, {"b": "c"}).patients == ("a", "c")


def test_a_leaky_split_is_refused_unless_asked_for_by_name() -> None:
    table = cohort_of([1, 1, 0, 0], ["a", "a", "b", "c"]).table
    sides = (("0.png", "2.png"), ("1.png", "3.png"))
    refuse_leaks(table, Split("paper", 0, *sides, *sides))
    with pytest.raises(UserError, match=r"refused: 1 of 2 validation images are of patients \(1 of them\)"):
        refuse_leaks(table, Split("patient", 0, *sides, *sides))


@pytest.mark.parametrize(
    ("labels", "patients", "options", "message"),
    [
        ([1, 1, 1], None, SplitOptions(), "got 3 positive and 0 negative"),
        ([1, 1, 0, 0], ["a", "b", "c", "c"], SplitOptions(), "at least 2 patients .* got 2 and 1"),
        ([1, 1, 1, 0, 0, 0], None, SplitOptions(kind="patient-kfold", folds=4), "at least 4 patients .* got 3 and 3"),
        ([1] * 20 + [0] * 2, None, SplitOptions(kind="paper", validation=0.1), "needs readable images of both classes"),
    ],
)
def test_too_few_of_a_class_stops_before_training(
    labels: list[float], patients: list[str] | None, options: SplitOptions, message: str
) -> None:
    with pytest.raises(UserError, match=message):
        make_splits(cohort_of(labels, patients), options)


def test_a_set_that_loses_its_only_negative_file_stops_before_training() -> None:
    cohort = cohort_of([1, 1, 1, 1, 0, 0])
    (split,) = make_splits(cohort, SplitOptions())
    lost = next(int(name.removesuffix(".png")) for name in split.validation if name in ("4.png", "5.png"))
    with pytest.raises(UserError, match=r"validation set .* 0 negative"):
        make_splits(cohort_of([1, 1, 1, 1, 0, 0], missing=(lost,)), SplitOptions())
