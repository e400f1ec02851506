"""A finished run, as Python sees it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from safetensors import SafetensorError
from safetensors.torch import load_file

from cxrlens.errors import UserError
from cxrlens.models.backbones import Preprocessing
from cxrlens.models.classifier import Classifier, restore_classifier
from cxrlens.pipeline.record import read_record
from cxrlens.report.details import operating_table, subgroups_table
from cxrlens.report.tables import comparisons_table, table1
from cxrlens.run_folder import RunFolder, Unit
from cxrlens.study import ModelRow, Study, folder_name


@dataclass(frozen=True)
class Run:
    """A finished run.

    Attributes:
        folder: where it is.
    """

    folder: RunFolder

    @classmethod
    def open(cls, path: str | Path) -> Run:
        """A run from its folder.

        Raises:
            UserError: it is not there or not finished.
        """
        run = cls(RunFolder(Path(path)))
        run.folder.read_json("results.json")
        return run

    @property
    def study(self) -> Study:
        """The study that it is of."""
        return Study.load(self.folder.study)

    @property
    def results(self) -> dict[str, Any]:
        """`results.json`."""
        return self.folder.read_json("results.json")

    @property
    def predictions(self) -> pd.DataFrame:
        """Validation predictions: model, seed, fold, image, patient, label, probability, logit."""
        return self.folder.read_table(self.folder.path / "predictions.csv")

    @property
    def cohort(self) -> pd.DataFrame:
        """The listed images, each with its file's facts or why it is missing."""
        return self.folder.read_table(self.folder.path / "cohort.csv")

    def table(self) -> pd.DataFrame:
        """Table 1: a row a model, AUC with its intervals, beside the paper's."""
        return table1(self.results)

    def comparisons(self) -> pd.DataFrame:
        """A row a pair of models: the difference of their AUCs with its interval, and what is left of it after Holm."""
        return comparisons_table(self.results)

    def subgroups(self) -> pd.DataFrame:
        """Every model by sex, age, view and source: counts, AUC, sensitivity and specificity with their intervals."""
        return subgroups_table(self.results)

    def operating_points(self) -> pd.DataFrame:
        """Every model at the threshold chosen on training images, and its calibration."""
        return operating_table(self.results)

    @property
    def depth(self) -> int | None:
        """Bits that a new image of more than 8 bits is read as, as most such training images were; None: its own.

        Raises:
            UserError: `results.json` is damaged, or an older version read such images of this run.
        """
        results = self.results
        if "depth" not in results:
            return self._depth_of_old()
        depth = results["depth"]
        if depth is not None and (type(depth) is not int or not 1 <= depth <= 16):
            path = self.folder.path / "results.json"
            raise UserError(f"{path} is damaged: the depth of its images is 1 to 16 bits; got {depth!r}")
        return depth

    def _depth_of_old(self) -> None:
        """Before 16-bit files were read by the bits that they use, their values were divided by 65,535."""
        cohort = self.cohort
        if "bits" in cohort and ((cohort["bits"] > 8) & (cohort["format"] != "DICOM")).any():
            raise UserError(
                f"{self.folder.path} was trained by an older version, which read files of more than 8 bits as 16 bits "
                "whatever they held: run its study again to use its networks on other images"
            )

    def history(self, model: str, seed: int | None = None, fold: int = 0) -> pd.DataFrame:
        """The training history of one network: a row an epoch."""
        row, seed = self._network(model, seed)
        return self.folder.read_table(self.folder.unit(folder_name(row.name), seed, fold).folder / "history.csv")

    def model(self, name: str, seed: int | None = None, fold: int = 0) -> Classifier:
        """A trained network as a plain module in evaluation mode, its preprocessing inside.

        Args:
            name: of the row.
            seed: the study's first where none is given.
            fold: of the split.

        Raises:
            UserError: no such row, seed or fold was trained, or its weights are damaged.
        """
        row, unit, told = self._trained(name, seed, fold)
        given = told["preprocessing"]
        preprocessing = Preprocessing(tuple(given["mean"]), tuple(given["std"]))
        try:
            state = load_file(unit.weights)
        except (SafetensorError, OSError) as error:
            raise UserError(
                f"{unit.weights} is damaged ({error}); delete {unit.folder} and run the study again"
            ) from error
        return restore_classifier(row, told["size"], state, preprocessing)

    def size(self, name: str, seed: int | None = None, fold: int = 0) -> int:
        """Side of the images that a network was trained on, in pixels.

        Raises:
            UserError: no such row, seed or fold was trained.
        """
        return self._trained(name, seed, fold)[2]["size"]

    def _trained(self, name: str, seed: int | None, fold: int) -> tuple[ModelRow, Unit, dict[str, Any]]:
        row, seed = self._network(name, seed)
        unit = self.folder.unit(folder_name(row.name), seed, fold)
        if not unit.record.exists():
            raise UserError(f"'{name}' was not trained with seed {seed}, fold {fold} in {self.folder.path}")
        told = read_record(unit)
        # Before rows had sizes of their own, a network's was its study's.
        return row, unit, {"size": self.study.images.reference, **told}

    def _network(self, name: str, seed: int | None) -> tuple[ModelRow, int]:
        study = self.study
        for row in study.models:
            if row.name == name:
                return row, study.seeds[0] if seed is None else seed
        raise UserError(f"this run has no model '{name}'; it has: {', '.join(row.name for row in study.models)}")
