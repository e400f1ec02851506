"""What may leave: without images nobody is seen, without notes nothing is told, renamed nobody is named."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cxrlens.report.licences import licence_sentences, licences_shown, may_not_be_redistributed, terms
from cxrlens.report.page import PICTURES, page
from cxrlens.report.redact import (
    WITHOUT_XRAYS,
    Names,
    images_shown,
    renamed,
    without_images,
    without_notes,
    without_salt,
)
from cxrlens.report.report_data import ReportData
from support.handmade_run import IMAGES, LICENCES, PATIENTS, report_data

OLD = [*IMAGES, *(Path(image).name for image in IMAGES), *(Path(image).stem for image in IMAGES), *set(PATIENTS)]


@pytest.fixture
def whole() -> ReportData:
    return report_data()


def named_in(text: str) -> list[str]:
    ways = {name: {name, name.replace("&", "&amp;"), name.replace("&", "\\u0026")} for name in OLD}
    return [name for name, forms in ways.items() if any(form in text for form in forms)]


def test_the_whole_page_names_patients_and_files_so_the_next_test_can_fail(whole: ReportData) -> None:
    result = named_in(page(whole))
    assert {IMAGES[0], IMAGES[39], IMAGES[3], PATIENTS[0], PATIENTS[4], Path(IMAGES[1]).stem} <= set(result)


def test_renamed_no_name_stands_anywhere_on_the_page_or_in_the_reading(whole: ReportData) -> None:
    changed = renamed(whole)
    text = page(changed)
    assert not named_in(text) and "image 1" in text and "/home/me" not in text
    for table in (changed.cohort, changed.predictions):
        assert not named_in(table.to_csv())
    assert not named_in(f"{changed.results}{changed.audit}{changed.explanations}{changed.environment}{changed.study}")


@pytest.mark.parametrize("key", ["data", "study_dir", "near"])  # `near` is what older versions wrote
def test_renamed_no_path_of_the_machine_is_left(whole: ReportData, key: str) -> None:
    changed = renamed(replace(whole, environment={**whole.environment, key: "/home/me"}))
    assert key not in changed.environment and "/home/me" not in page(changed)


def test_renamed_tables_gallery_and_audit_go_together(whole: ReportData) -> None:
    changed = renamed(whole)
    assert changed.gallery is not None and changed.audit is not None
    assert changed.gallery.images == tuple(f"image {number}" for number in range(1, 9))
    assert changed.cohort["patient"].tolist()[:4] == ["patient 1", "patient 1", "patient 2", "patient 2"]
    join = changed.predictions.merge(changed.cohort, on="image", suffixes=("", "_listed"))
    assert len(join) == len(whole.predictions) and (join["patient"] == join["patient_listed"]).all()
    finding = changed.audit["findings"][0]
    assert finding["sentence"] == "image 1 of patient 1 is also image 2."
    assert finding["evidence"]["pairs"][0]["patients"] == ["patient 1", "patient 2"]
    assert changed.results["cohort"]["missing"] == [{"image": "image 40", "reason": "image 40 is not there"}]
    assert changed.results["models"] == whole.results["models"]
    pd.testing.assert_series_equal(changed.predictions["logit"], whole.predictions["logit"])


def test_renamed_figures_with_names_and_hashes_of_files_stay_at_home(whole: ReportData) -> None:
    changed = renamed(whole)
    assert set(changed.pictures) == {"auc", "roc", "figure2", "figure3", "audit", "audit_evidence"}
    assert "sha256" not in changed.cohort and "other_notes" not in changed.cohort


def test_the_reading_itself_is_left_as_it_was(whole: ReportData) -> None:
    before = report_data()
    for change in (without_images, without_notes, renamed):
        change(whole)
    assert whole.results == before.results and whole.audit == before.audit
    pd.testing.assert_frame_equal(whole.cohort, before.cohort)


def test_short_numbers_are_names_only_where_names_stand() -> None:
    names = Names.of(["1", "2.png"], ["2", "unknown"])
    assert names.text("2 of 1 unknown, 2.png, 12.png and 2.pngx") == "2 of 1 unknown, image 2, 12.png and 2.pngx"
    output = names.plain({"image": "1", "patients": ["2", "unknown"], "count": "1", "patients_on_both_sides": 2})
    assert output == {
        "image": "image 1", "patients": ["patient 1", "patient 2"], "count": "1", "patients_on_both_sides": 2,
    }  # fmt: skip


def test_a_name_within_another_is_not_taken_for_it() -> None:
    names = Names.of(["P10.png", "P1.png"], ["P1", "P10", "P1 b"])
    assert (
        names.text("P1 b; P10; P1; XP1; P10.png; P1_c") == "patient 3; patient 2; patient 1; XP1; image 1; patient 1_c"
    )


def test_where_no_patient_is_known_that_can_still_be_seen() -> None:
    assert Names.of(["a-1.png", "b-2.png"], ["b-2.png", "a-1.png"]).patients == {
        "b-2.png": "image 2", "a-1.png": "image 1",
    }  # fmt: skip


def test_thousands_of_names_take_no_time() -> None:
    images = [f"{number:08d}_{number % 7:03d}.png" for number in range(20_000)]
    names = Names.of(images, [f"PATIENT{number}" for number in range(20_000)])
    assert names.text("PATIENT19999 00000007_000.png, " * 5000) == "patient 20000 image 8, " * 5000


def test_without_images_no_x_ray_is_on_the_page(whole: ReportData) -> None:
    changed = without_images(whole)
    text = page(changed)
    assert changed.gallery is None and set(changed.pictures) == {"auc", "roc", "figure2", "audit"}
    assert text.count('src="data:image/') == 4 and '"jpeg"' not in text and '"jpeg"' in page(whole)
    assert not images_shown(changed) and not may_not_be_redistributed(changed)


def test_every_figure_of_the_page_that_shows_x_rays_is_known_to() -> None:
    assert set(PICTURES) - WITHOUT_XRAYS == {"figure1", "figure1_also", "figure3", "audit_evidence"}
    assert set(PICTURES) >= WITHOUT_XRAYS


def test_without_notes_nothing_of_them_is_on_the_page(whole: ReportData) -> None:
    assert "coughs" in page(whole)
    changed = without_notes(whole)
    assert "coughs" not in page(changed) and "coughs" not in changed.cohort.to_csv()
    assert changed.cohort["license"].iloc[0] == "CC BY-NC-SA"


@pytest.mark.parametrize(
    ("licence", "allowed"),
    [
        ("CC BY 4.0", True), ("cc-by-3.0", True), ("CC BY-SA", True), ("CC BY-NC-SA 4.0", True), ("CC0 1.0", True),
        ("CC0 (synthetic)", True), ("Apache 2.0", True), ("Public Domain", True),
        ("https://creativecommons.org/licenses/by-nc/4.0/", True),
        ("Creative Commons Attribution-NonCommercial 4.0 International License", True),
        ("CC BY-NC-ND 4.0", False), ("CC BY-ND", False), ("listed as authorized for everyone", False),
        ("CC BY, except Figure 2", False), ("not CC0", False), ("all rights reserved", False), ("", False),
        (" ", False), (None, False), ("?", False),
    ],
)  # fmt: skip
def test_a_licence_allows_only_where_all_of_it_is_known(licence: str | None, allowed: bool) -> None:
    assert terms(licence).allowed is allowed and (allowed or terms(licence).how)


def test_non_commercial_is_allowed_and_said() -> None:
    assert "not for commercial use" in terms("CC BY-NC").how and "commercial" not in terms("CC BY").how
    assert "same licence" in terms("CC BY-SA").how and not terms("CC0").how


def test_images_that_may_not_go_are_counted_by_licence(whole: ReportData) -> None:
    gallery_only = replace(whole, pictures={"auc": b""})
    assert may_not_be_redistributed(gallery_only) == [IMAGES[1], IMAGES[3], IMAGES[5], IMAGES[7]]
    assert {each.licence: len(each.images) for each in licences_shown(gallery_only)} == {
        licence or "": 2 for licence in LICENCES
    }
    warnings, conditions = licence_sentences(gallery_only)
    assert warnings[0].startswith(
        "4 of the 8 images that this page may show have no licence that is known to allow sharing: "
    )
    assert "2 without a licence (no licence is stated)" in warnings[0] and "2 “ask the author”" in warnings[0]
    assert [each.split(":")[0] for each in conditions] == ["terms of CC BY-NC-SA, 2 images"]


def test_a_figure_with_x_rays_may_show_any_readable_image(whole: ReportData) -> None:
    assert images_shown(replace(whole, gallery=None)) == IMAGES[:39]
    assert images_shown(replace(whole, gallery=None, pictures={"roc": b""})) == []
    unknown = whole.cohort.assign(license=np.nan)
    assert len(may_not_be_redistributed(replace(whole, cohort=unknown))) == 39


def test_the_salt_of_patient_ids_does_not_leave() -> None:
    study = 'name = "x"  # a comment\n[data]\nsource = "dicom_folder"\nsalt = "a secret"\n'
    assert "a secret" not in without_salt(study) and "# a comment" in without_salt(study)
    for other in ("no toml [", study.replace("a secret", "env:CXR_SALT"), 'name = "x"\n', 'salt = "x"\n[[data]]\n'):
        assert without_salt(other) == other
