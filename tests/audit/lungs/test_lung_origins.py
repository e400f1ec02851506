"""Where the lungs are, from each origin: by hand, and what each refuses."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

from cxrlens.audit.lungs.masks import MEASURED, fallback, from_folder, from_segmenter, from_table, overlap
from cxrlens.data.sources.covid_chestxray import CovidChestXray
from cxrlens.data.sources.image_folder import ImageFolder
from cxrlens.data.sources.phantom import Phantom
from cxrlens.errors import UserError


def save(path: Path, mask: np.ndarray) -> None:
    Image.fromarray(mask).save(path)


class TestMasks:
    def test_a_mask_is_resized_as_its_image_is_and_found_by_its_images_name(self, tmp_path: Path) -> None:
        mask = np.zeros((8, 4), np.uint8)
        mask[4:, :2] = 255
        save(tmp_path / "a.png", mask)
        result = from_folder(tmp_path, ["b.jpg", "a.jpeg"], 4)
        expected = np.zeros((4, 4), bool)
        expected[2:, :2] = True
        np.testing.assert_array_equal(result.masks[1], expected)
        assert result.known.tolist() == [False, True] and not result.masks[0].any()
        assert result.masks.dtype == bool and result.origin == "masks" and tmp_path.name in result.worth
        assert result.rows.tolist() == [1]

    def test_bright_is_lung_however_a_mask_is_coded(self, tmp_path: Path) -> None:
        inside = np.zeros((4, 4), bool)
        inside[1:3, 1:3] = True
        save(tmp_path / "one.png", inside.astype(np.uint8))
        save(tmp_path / "bits.png", inside)
        save(tmp_path / "grey.BMP", inside.astype(np.uint8) * 90)
        save(tmp_path / "colour.gif", np.repeat(inside[..., None], 3, 2).astype(np.uint8) * 255)
        save(tmp_path / "deep.png", inside.astype(np.uint16) * 65535)
        result = from_folder(tmp_path, ["one.png", "bits.png", "grey.png", "colour.png", "deep.png"], 4)
        assert result.known.all() and (result.masks == inside).all()

    def test_an_empty_mask_is_no_lung(self, tmp_path: Path) -> None:
        save(tmp_path / "a.png", np.zeros((4, 4), np.uint8))
        assert not from_folder(tmp_path, ["a.png"], 4).known.any()

    @pytest.mark.parametrize("damage", ["text", "cut", "broken"])
    def test_a_mask_that_cannot_be_read_is_named(self, tmp_path: Path, damage: str) -> None:
        file = tmp_path / "a.png"
        save(file, np.random.default_rng(0).integers(0, 255, (64, 64)).astype(np.uint8))
        whole = file.read_bytes()
        broken = whole[:60] + bytes(200) + whole[260:]
        file.write_bytes({"text": b"<html>", "cut": whole[: len(whole) // 2], "broken": broken}[damage])
        with pytest.raises(UserError, match=r"the lung mask .*a\.png cannot be read"):
            from_folder(tmp_path, ["a.png"], 8)

    def test_an_absent_folder_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(UserError, match=r"\[audit\] masks: the folder .*gone does not exist"):
            from_folder(tmp_path / "gone", ["a.png"], 8)


class TestBoxes:
    def table(self, folder: Path, *lines: str, header: str = "filename,x,y,width,height") -> Path:
        path = folder / "boxes.csv"
        path.write_text("\n".join((header, *lines)) + "\n")
        return path

    def test_fractions_become_pixels_and_two_boxes_are_united(self, tmp_path: Path) -> None:
        path = self.table(tmp_path, "a.png,0.1,0.2,0.2,0.5", "a.png,0.6,0.2,0.3,0.4", "other.png,0,0,1,1")
        result = from_table(path, ["a.png", "b.png"], 10)
        expected = np.zeros((10, 10), bool)
        expected[2:7, 1:3] = expected[2:6, 6:9] = True
        np.testing.assert_array_equal(result.masks[0], expected)
        assert result.known.tolist() == [True, False] and not result.masks[1].any() and result.origin == "boxes"

    def test_a_box_reaches_to_the_edge_and_a_thin_one_is_not_lost(self, tmp_path: Path) -> None:
        path = self.table(tmp_path, "a.png,0,0,1,1", "b.png,0.5,0.5,0.001,0.001")
        masks = from_table(path, ["a.png", "b.png"], 10).masks
        assert masks[0].all() and masks[1].sum() == 1

    def test_further_columns_and_a_byte_order_mark_are_no_trouble(self, tmp_path: Path) -> None:
        path = self.table(
            tmp_path,
            "\N{LATIN SMALL LETTER E WITH ACUTE}.png,right,0,0,0.5,1",
            header="\ufefffilename,lung,x,y,width,height",
        )
        assert from_table(path, ["\N{LATIN SMALL LETTER E WITH ACUTE}.png"], 4).masks.sum() == 8

    @pytest.mark.parametrize(
        "line", ["a.png,10,20,200,300", "a.png,-0.1,0,0.5,0.5", "a.png,left,0,0.5,0.5", "a.png,0,0,,0.5",
                 "a.png,0.8,0,0.5,0.5", "a.png,0,0.8,0.5,0.5", "a.png,0.2,0.2,0,0.5"]
    )  # fmt: skip
    def test_a_box_outside_of_the_image_or_of_no_numbers_is_named(self, tmp_path: Path, line: str) -> None:
        with pytest.raises(UserError, match=r"\[audit\] boxes: .*fractions.*'a\.png'"):
            from_table(self.table(tmp_path, "b.png,0,0,1,1", line), ["b.png"], 8)

    def test_an_absent_table_column_or_box_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(UserError, match=r"gone\.csv"):
            from_table(tmp_path / "gone.csv", ["a.png"], 8)
        with pytest.raises(UserError, match="no column 'height'"):
            from_table(self.table(tmp_path, "a.png,0,0,1", header="filename,x,y,width"), ["a.png"], 8)
        with pytest.raises(UserError, match="contains no box"):
            from_table(self.table(tmp_path), ["a.png"], 8)


class TestSegmenter:
    @pytest.fixture(autouse=True)
    def module(self, monkeypatch: pytest.MonkeyPatch) -> None:
        made = ModuleType("segmenters_of_a_test")

        def spoil(image: np.ndarray) -> np.ndarray:
            image[:] = 0
            return np.ones(image.shape, bool)

        made.bright = lambda image: image > 0.5
        made.spoil, made.number = spoil, 3
        made.grey, made.small = lambda image: image, lambda image: image[:2] > 0.5
        monkeypatch.setitem(sys.modules, made.__name__, made)

    def test_it_is_given_each_image_and_its_masks_are_kept(self) -> None:
        pixels = np.zeros((3, 4, 4), np.float32)
        pixels[0, :2], pixels[1, 2:] = 0.9, 0.9
        result = from_segmenter("segmenters_of_a_test:bright", pixels)
        np.testing.assert_array_equal(result.masks, pixels > 0.5)
        assert result.known.tolist() == [True, True, False] and result.origin == "segmenter"
        assert "segmenters_of_a_test:bright" in result.worth and "not measured" in result.worth

    def test_it_may_write_into_what_it_is_given(self) -> None:
        pixels = np.full((1, 4, 4), 0.5, np.float32)
        from_segmenter("segmenters_of_a_test:spoil", pixels)
        assert (pixels == 0.5).all()

    @pytest.mark.parametrize(
        "name",
        ["no_such_module:f", "segmenters_of_a_test:gone", "segmenters_of_a_test", "", ":f", ".near:f",
         "segmenters_of_a_test:number"],
    )  # fmt: skip
    def test_one_that_is_not_there_is_named_with_the_form(self, name: str) -> None:
        with pytest.raises(UserError, match=rf"'{re.escape(name)}' cannot be imported .*package\.module:function"):
            from_segmenter(name, np.zeros((1, 4, 4), np.float32))

    @pytest.mark.parametrize(("name", "told"), [("grey", r"got float32 \[4, 4\]"), ("small", r"got bool \[2, 4\]")])
    def test_one_that_gives_something_else_is_told_what_is_needed(self, name: str, told: str) -> None:
        with pytest.raises(UserError, match=rf"must return a bool mask \[4, 4\]; {told}"):
            from_segmenter(f"segmenters_of_a_test:{name}", np.zeros((1, 4, 4), np.float32))


class TestFallback:
    def test_it_is_the_same_two_boxes_in_every_image(self) -> None:
        result = fallback(3, 100)
        assert (result.masks == result.masks[0]).all() and result.known.all() and result.origin == "fallback"
        assert result.masks[0].sum() == 36 * 78 + 34 * 80
        assert not result.masks[0][:, 46:56].any() and not result.masks[0][:12].any()

    def test_overlap_is_intersection_over_union_and_unknown_of_nothing(self) -> None:
        a, b = np.zeros((2, 2, 4, 4), bool)
        a[0, :2], b[0, 1:3] = True, True
        np.testing.assert_array_equal(overlap(a, b), [1 / 3, np.nan])

    def test_its_worth_is_what_is_measured_on_the_papers_cohort(self, shared: Path) -> None:
        folder = shared / "data" / "covid-chestxray-2020-05-04"
        images = CovidChestXray().cohort(folder).images
        boxes = from_table(folder / "lung_boxes.csv", images, 224)
        rows = boxes.rows
        shares = overlap(boxes.masks[rows], fallback(len(rows), 224).masks)
        told = [float(number) for number in re.findall(r"0\.\d+", MEASURED)]
        measured = [shares.mean(), *np.quantile(shares, [0.05, 0.95])]
        assert len(rows) == 278 and told == pytest.approx(measured, abs=0.01)
        assert "278 images" in fallback(1, 8).worth and MEASURED in fallback(1, 8).worth


def test_a_source_that_drew_its_images_knows_their_lungs_and_another_says_so() -> None:
    source = Phantom(patients=2, size=64, seed=3)
    path = source.cohort().table["path"].iloc[0]
    np.testing.assert_array_equal(source.lungs(path), source.truth(path).lungs)
    assert 0.1 < source.lungs(path).mean() < 0.6
    assert ImageFolder().lungs("a.png") is None
