"""The built-in phantom as a data set: synthetic chest X-rays with known truth, rendered when they are read."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
from PIL import Image
from pydantic import Field, field_validator

from cxrlens.data.cohort import Cohort, Decoded, cohort_table
from cxrlens.data.phantom import PhantomImage, PhantomOptions, draw_facts, render
from cxrlens.data.phantom.body import stream
from cxrlens.data.phantom.exposure import SITES
from cxrlens.data.sources import SOURCES, Source
from cxrlens.errors import UserError
from cxrlens.files import write_atomically, write_text

Count = Annotated[int, Field(ge=1)]
KEPT, KEPT_SIDE = 1024, 320  # rendered images that stay in memory, and their largest side: about 100 MB at most


def _grey_and_lungs(patient: int, image: int, options: PhantomOptions) -> tuple[np.ndarray, np.ndarray]:
    """The grey levels of an image, uint8 [height, width], and its lungs, eight pixels in a byte."""
    rendered = render(patient, image, options)
    return np.round(rendered.pixels[0] * 255).astype(np.uint8), np.packbits(rendered.lungs)


# Rendering takes far longer than resizing, and a run needs an image at several sizes, and its lungs.
_kept_grey_and_lungs = lru_cache(KEPT)(_grey_and_lungs)


@SOURCES.register("phantom")
class Phantom(PhantomOptions, Source):
    """Synthetic patients; the other options are those of `PhantomOptions`.

    Attributes:
        patients: number of patients.
        images_per_patient: smallest and largest number of images of a patient.
    """

    patients: int = Field(120, ge=1, le=9999)
    images_per_patient: tuple[Count, Count] = (1, 4)

    @field_validator("images_per_patient")
    @classmethod
    def _fewest_first(cls, value: tuple[int, int]) -> tuple[int, int]:
        if value[0] > value[1]:
            raise ValueError("needs the smallest number of images first, then the largest")
        return value

    @property
    def needs_data_dir(self) -> bool:
        """False: the phantom needs no data folder."""
        return False

    @property
    def options(self) -> PhantomOptions:
        """The options of a single image."""
        return PhantomOptions(**{name: getattr(self, name) for name in PhantomOptions.model_fields})

    def cohort(self, data_dir: Path | None = None) -> Cohort:
        """Lists the images without rendering them; `data_dir` is ignored."""
        return Cohort(
            name="phantom",
            table=cohort_table(pd.DataFrame([self._row(patient, image) for patient, image in self._numbers()])),
            read=self.read,
        )

    def read(self, path: str) -> Decoded:
        """Renders an image.

        Args:
            path: cell of the cohort's column `path`, such as "phantom:3/1".

        Raises:
            UserError: the cell does not have this form.
        """
        grey, _ = self._rendered(path)
        height, width = grey.shape
        digest = hashlib.sha256(f"{height}x{width}:".encode() + grey.tobytes())
        facts: dict[str, object] = {
            "width": width,
            "height": height,
            "bytes": width * height,
            "mode": "L",
            "format": "phantom",
            "bits": 8,
        }
        return Decoded((grey.astype(np.float32) / 255)[None], facts, (), digest.hexdigest())

    def truth(self, path: str) -> PhantomImage:
        """Renders an image with its masks and facts; the argument is that of `read`."""
        return render(*_seeds(path), self.options)

    def lungs(self, path: str) -> np.ndarray:
        """The true lung fields of an image, bool [height, width]; the argument is that of `read`."""
        grey, lungs = self._rendered(path)
        return np.unpackbits(lungs, count=grey.size).reshape(grey.shape).astype(bool)

    def _rendered(self, path: str) -> tuple[np.ndarray, np.ndarray]:
        draw = _kept_grey_and_lungs if self.size <= KEPT_SIDE else _grey_and_lungs
        return draw(*_seeds(path), self.options)

    def export(self, folder: Path) -> Iterator[str]:
        """Writes the data set image by image: `images/*.png`, `masks/{lungs,finding,marker}/*.png` and `cohort.csv`.

        The table is written last, so its presence shows that the data set is complete.

        Args:
            folder: new or empty folder; the column `path` of the table is relative to it.

        Yields:
            The name of the image just written.

        Raises:
            UserError: the folder cannot be written or is not empty.
        """
        if folder.is_dir() and any(folder.iterdir()):
            raise UserError(
                f"the phantom needs an empty or new folder; {folder} is not empty: choose another folder or empty it"
            )
        rows = []
        try:
            for part in ("images", "masks/lungs", "masks/finding", "masks/marker"):
                (folder / part).mkdir(parents=True, exist_ok=True)
            for patient, image in self._numbers():
                row = self._row(patient, image)
                rendered, name = render(patient, image, self.options), str(row["image"])
                _write(folder / "images" / name, np.round(rendered.pixels[0] * 255).astype(np.uint8))
                for part in ("lungs", "finding", "marker"):
                    _write(folder / "masks" / part / name, getattr(rendered, part).astype(np.uint8) * 255)
                rows.append({**row, "path": f"images/{name}"})
                yield name
            write_text(folder / "cohort.csv", pd.DataFrame(rows).to_csv(index=False, lineterminator="\n"))
        except OSError as error:
            raise UserError(f"cannot write the phantom to {folder}: {error.strerror}; choose another folder") from error

    def _numbers(self) -> Iterator[tuple[int, int]]:
        """Yields the patient and image numbers in the order of the table."""
        low, high = self.images_per_patient
        for patient in range(self.patients):
            for image in range(int(stream("visits", self.seed, patient).integers(low, high + 1))):
                yield patient, image + 1

    def _row(self, patient: int, image: int) -> dict[str, object]:
        facts = draw_facts(patient, image, self.options)
        return {
            "image": f"phantom-{patient:04d}-{image}.png",
            "patient": f"P{patient:04d}",
            "label": facts.label,
            "finding": facts.finding,
            "view": facts.view,
            "source": "phantom",
            "site": SITES[facts.site].name,
            "date": facts.date,
            "sex": facts.sex,
            "age": facts.age,
            "license": "CC0 (synthetic)",
            "notes": facts.notes,
            "path": f"phantom:{patient}/{image}",
        }


def _seeds(path: str) -> tuple[int, int]:
    match = re.fullmatch(r"phantom:(\d+)/(\d+)", path)
    if not match:
        raise UserError(f"a phantom image is named like 'phantom:3/1' (patient 3, image 1); got {path!r}")
    return int(match[1]), int(match[2])


def _write(path: Path, levels: np.ndarray) -> None:
    """Writes a grey PNG."""
    write_atomically(path, lambda draft: Image.fromarray(levels).save(draft, format="PNG"))
