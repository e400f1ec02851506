"""The data check: its counts, faults and sentences, on made cohorts and on the paper's."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from rich.console import Console
from typer.testing import CliRunner

from cxrlens.audit.data_check import CheckReport, check, count_labels
from cxrlens.cli.data import show
from cxrlens.data.cache import ImageCache, build_cache
from cxrlens.data.cohort import Cohort, Decoded, cohort_table
from cxrlens.data.sources.covid_chestxray import CovidChestXray
from cxrlens.data.split import SplitOptions
from cxrlens.errors import UserError
from cxrlens.pipeline.check import contact_sheet, sample_rows

SUMMARY = [
    "images",
    "positive",
    "negative",
    "patients",
    "train",
    "validation",
    "validation_images_of_training_patients",
    "validation_patients_in_training",
    "missing",
]


def read(path: str) -> Decoded:
    """Noise that the number in the path decides; 13 is corrupt."""
    number = int(path)
    if number == 13:
        raise UserError("the file is cut off")
    pixels = np.random.default_rng(number).random((1, 64, 64), dtype=np.float32)
    facts = {"width": 64, "height": 64, "bytes": 1, "mode": "L", "format": "PNG", "bits": 8}
    return Decoded(pixels, facts, sha256=f"{number:064x}")


def made(count: int = 40) -> Cohort:
    """Two images a patient; image 1 is image 0's file again but of another patient, and negative; image 5 is absent."""
    numbers = np.arange(count)
    table = cohort_table(
        pd.DataFrame(
            {
                "image": [f"{number}.png" for number in numbers],
                "patient": [f"p{number // 2}" if number != 1 else "twin" for number in numbers],
                "label": [1.0 if number // 2 % 2 == 0 and number != 1 else 0.0 for number in numbers],
                "view": ["PA" if number % 4 else None for number in numbers],
                "age": [np.nan if number < 4 else 90.0 if number < 8 else 30.0 for number in numbers],
                "path": [str(number) if number != 1 else "0" for number in numbers],
            }
        )
    )
    return Cohort(
        "made", table, read, missing={"5.png": "no such file"}, left_out={"view L": 3}, unlisted=("extra.png",)
    )


def cached(cohort: Cohort, folder: Path) -> ImageCache:
    return build_cache(cohort, 64, "bilinear", folder)


@pytest.fixture
def report(tmp_path: Path) -> CheckReport:
    cohort = made()
    return check(cohort, SplitOptions(), cached(cohort, tmp_path))


def test_the_cohort_has_the_fields_of_the_results_in_their_order(report: CheckReport) -> None:
    assert list(report.cohort) == SUMMARY
    assert report.cohort["images"] == 40
    assert report.cohort["missing"] == [
        {"image": "5.png", "reason": "no such file"},
        {"image": "13.png", "reason": "the file is cut off"},
    ]


def test_absent_and_unreadable_files_are_told_apart_and_are_faults(report: CheckReport) -> None:
    assert report.integrity.absent == {"5.png": "no such file"}
    assert report.integrity.unreadable == {"13.png": "the file is cut off"}
    assert report.faults[0] == "1 listed image without a file: 5.png (no such file)"
    assert report.faults[1] == "1 file rejected: 13.png (the file is cut off)"


def test_one_file_under_two_patients_and_two_labels_is_found_and_merged(report: CheckReport) -> None:
    (pair,) = report.integrity.two_ids
    assert (pair.images, pair.identical, pair.conflict) == (("0.png", "1.png"), True, True)
    assert report.integrity.one_patient == (("p0", "twin"),)
    assert report.faults[2] == "two labels for one image: 0.png and 1.png, one positive and one negative"
    assert all(side.leaking_images == 0 for side in report.sides)
    assert any("p0 = twin); the split keeps each such patient in one set" in line for line in report.warnings)


def test_a_paper_split_says_what_leaks_under_one_id_and_under_two(tmp_path: Path) -> None:
    cohort = made()
    cache = cached(cohort, tmp_path)
    leaks = set()
    for seed in range(12):
        report = check(cohort, SplitOptions(kind="paper", seed=seed), cache)
        (side,) = report.sides
        leaking = report.cohort["validation_images_of_training_patients"]
        assert isinstance(leaking, int)
        leaks.add(side.leaking_images - leaking)
        assert report.warnings[0].startswith(f"{leaking} of 14 validation images are of patients")
        assert any("the split treats them as two patients" in line for line in report.warnings)
    assert leaks == {0, 1}


def test_patients_are_counted_as_the_split_takes_them(tmp_path: Path) -> None:
    cohort = made()
    cache = cached(cohort, tmp_path)
    assert check(cohort, SplitOptions(), cache).merged["twin"] == "p0"
    for options in (SplitOptions(merge_duplicates=False), SplitOptions(kind="paper")):
        report = check(cohort, options, cache)
        assert report.merged == {} and report.integrity.groups["twin"] == "p0"


def test_a_note_of_the_source_does_not_hide_how_deep_files_were_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def deep(path: str) -> Decoded:
        decoded, depth = read(path), 10 + 2 * (int(path) % 2)
        facts = {**decoded.facts, "bits": 16, "depth": depth, "depth_alone": depth}
        return replace(decoded, facts=facts, steps=(f"16-bit file read as {depth} bits (largest value 9)",))

    note = "exclude pattern 'x/*' matched no file"
    cohort = replace(made(), read=deep, notes=(note,))
    report = check(cohort, SplitOptions(), cached(cohort, tmp_path))
    show(report, Console(width=200))
    printed = capsys.readouterr().out
    assert note in printed and "read as 10 bits" in printed and "read as 12 bits" in printed


def test_a_split_that_cannot_be_drawn_is_a_fault_and_the_rest_is_still_told(tmp_path: Path) -> None:
    cohort = made()
    alike = replace(cohort, table=cohort.table.assign(label=1.0))
    report = check(alike, SplitOptions(), cached(alike, tmp_path))
    assert report.faults[-1].startswith("a split needs at least 2 images of each class; got 40 positive and 0 negative")
    assert report.sides == ()
    assert report.cohort["train"] is None
    assert json.loads(report.to_json())["cohort"]["positive"] == 40


def test_counts_are_of_listed_rows_and_unknown_is_counted() -> None:
    counts = count_labels(made(8).table)
    assert list(counts) == ["view", "source", "sex", "age"]
    assert counts["view"] == {
        "PA": {"positive": 1, "negative": 5, "unlabelled": 0},
        "unknown": {"positive": 2, "negative": 0, "unlabelled": 0},
    }
    assert {band: sum(signs.values()) for band, signs in counts["age"].items()} == {"80 and over": 4, "unknown": 4}


def test_the_json_is_one_object_that_names_everything(report: CheckReport) -> None:
    plain = json.loads(report.to_json())
    assert plain["left_out"] == {"view L": 3}
    assert plain["unlisted"] == ["extra.png"]
    assert plain["images_a_patient"] == {"1": 2, "2": 19}
    assert plain["duplicates"][0]["patients"] == ["p0", "twin"]


def test_a_contact_sheet_takes_every_label_and_view_in_turn(tmp_path: Path) -> None:
    cohort = made()
    rows = sample_rows(cohort.table, 8, np.random.default_rng(0))
    assert rows["label"].value_counts().to_dict() == {1.0: 4, 0.0: 4}
    assert rows["view"].isna().sum() >= 2
    figure = contact_sheet(cohort, cached(cohort, tmp_path), np.random.default_rng(0), count=10)
    figure.savefig(tmp_path / "sheet.png")
    assert sum(bool(axes.images) for axes in figure.axes) == 10


@pytest.fixture(scope="module")
def covid(shared: Path) -> Path:
    return shared / "data" / "covid-chestxray-2020-05-04"


def test_the_papers_cohort_is_checked_to_its_published_counts(covid: Path, tmp_path: Path) -> None:
    cohort = CovidChestXray().cohort(covid)
    cache = build_cache(cohort, 112, "bilinear", tmp_path)
    report = check(cohort, SplitOptions(kind="paper"), cache)
    assert [report.cohort[name] for name in SUMMARY[:-1]] == [289, 233, 56, 180, 193, 96, 45, 34]
    assert report.integrity.absent == {"cavitating-pneumonia-4-day28-PA.png": "no such file"}
    assert report.integrity.unreadable == {}
    assert report.integrity.one_patient == (("97", "178"), ("186", "192", "196"), ("193", "195"))
    assert report.integrity.associations[0].column == "year"
    assert report.integrity.associations[0].auc == pytest.approx(0.99, abs=0.01)


STUDY = """
name = "checked"
[data]
source = "phantom"
patients = 12
size = 128
[images]
size = 48
[audit.options.file_facts]
classifier = "logistic"
[[models]]
name = "benchmark"
backbone = "benchmark_cnn"
"""


def test_the_command_prints_one_json_object_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import typer

    from cxrlens.cli.data import check as command

    monkeypatch.setenv("CXRLENS_CACHE", str(tmp_path / "cache"))
    (tmp_path / "study.toml").write_text(STUDY)
    app = typer.Typer()
    app.command()(command)
    sheet = tmp_path / "figures" / "sheet.png"
    result = CliRunner().invoke(app, [str(tmp_path / "study.toml"), "--json", "--strict", "--sheet", str(sheet)])
    assert result.exit_code == 0, result.output
    plain = json.loads(result.stdout)
    assert list(plain["cohort"]) == SUMMARY
    probes = {"duplicates", "file_facts", "metadata_only", "patient_leak", "prevalence"}
    assert {finding["probe"] for finding in plain["findings"]} == probes
    (files,) = (finding for finding in plain["findings"] if finding["probe"] == "file_facts")
    assert files["evidence"]["recipe"]["classifier"] == "logistic"
    assert sheet.stat().st_size > 1000
    result = CliRunner().invoke(app, [str(tmp_path / "study.toml")])
    assert "Before training" in result.stdout
    _, _, shortcuts = result.stdout.partition("What could reveal the label without the lungs")
    assert len([line for line in shortcuts.splitlines() if line.startswith("  • ")]) == len(plain["findings"])
