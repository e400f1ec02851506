"""A finished run: its results, tables and networks, and its images opened again."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import pandas as pd
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from cxrlens.arguments import checked
from cxrlens.data.cache import ImageCache
from cxrlens.errors import UserError, near_miss, nearest_file
from cxrlens.models.backbones import Preprocessing
from cxrlens.models.classifier import Classifier, restore_classifier
from cxrlens.pipeline.fit import TrainingTask
from cxrlens.pipeline.prepare import Pixels, Prepared, images_digest, list_images, prepare
from cxrlens.pipeline.record import read_record
from cxrlens.progress import SILENT, Progress
from cxrlens.report.export import operating_table, subgroups_table
from cxrlens.report.tables import comparisons_table, table1
from cxrlens.run_folder import NetworkFolder, RunFolder
from cxrlens.study import ModelRow, Study, folder_name
from cxrlens.train.predict import as_tensor


@dataclass(frozen=True, repr=False)
class FinishedRun:
    """A finished run.

    Attributes:
        folder: folder of the run.
    """

    folder: RunFolder

    @classmethod
    @checked
    def open(cls, path: str | Path) -> Self:
        """Opens a run.

        Args:
            path: folder of the run.

        Raises:
            UserError: the folder is absent or no folder, or the run is not finished.
        """
        if not Path(path).exists():
            raise UserError(f"{path} is not a finished run: the folder does not exist{nearest_file(path)}")
        if not Path(path).is_dir():
            raise UserError(f"a finished run is a folder, such as runs/NAME; got the file {path}")
        run = cls(RunFolder(Path(path)))
        run.folder.read_json("results.json")
        return run

    def __repr__(self) -> str:
        if not (self.folder.path / "results.json").exists():
            return f"Run in {self.folder.path}, not finished"
        results = self.results
        cohort, models = results["cohort"], results["models"]
        lines = [
            f"Run of '{results['study']}' in {self.folder.path}: {len(models)} model{'' if len(models) == 1 else 's'} "
            f"on {cohort['images']} images of {cohort['patients']} patients"
        ]
        width = max(len(model["name"]) for model in models)
        for model in models:
            auc, low, high = model["auc"], model["auc_low"], model["auc_high"]
            interval = f"[{low:.3f}, {high:.3f}]" if low is not None and high is not None else "no interval"
            lines.append(f"  {model['name']:<{width}}  AUC {auc:.3f} {interval}")
        lines += [f"  {row['name']}: not trained" for row in results["skipped"]]
        return "\n".join(lines)

    @property
    def study(self) -> Study:
        """The study of the run."""
        return Study.load(self.folder.study)

    @property
    def results(self) -> dict[str, Any]:
        """The content of `results.json`."""
        return self.folder.read_json("results.json")

    @property
    def models(self) -> list[str]:
        """Names of the trained models, in the study's order."""
        return [model["name"] for model in self.results["models"]]

    @property
    def predictions(self) -> pd.DataFrame:
        """Validation predictions: model, seed, fold, image, patient, label, probability, logit."""
        return self.folder.read_table(self.folder.path / "predictions.csv")

    @property
    def cohort(self) -> pd.DataFrame:
        """The listed images, each with the facts of its file or the reason why it is missing."""
        return self.folder.read_table(self.folder.path / "cohort.csv")

    @checked
    def split(self, name: str = "validation", *, fold: int = 0) -> pd.DataFrame:
        """The images of one set of the split, with `image`, `patient` and `label`: one row per readable image.

        Args:
            name: "train" or "validation".
            fold: fold of the split.

        Returns:
            The rows, in the order of `predictions` and of `images`.

        Raises:
            UserError: there is no such set or fold.
        """
        if name not in ("train", "validation"):
            raise UserError(near_miss("set", name, ("train", "validation")))
        splits = self.folder.read_table(self.folder.path / "splits.csv")
        if fold not in set(splits["fold"]):
            raise UserError(f"unknown fold {fold}; this run's split has {splits['fold'].nunique()}, numbered from 0")
        listed = splits[splits["fold"].eq(fold) & splits["side"].eq(name)]
        rows = listed[["image"]].merge(self.cohort, on="image", how="left")
        return rows.loc[rows["missing"].isna(), ["image", "patient", "label"]].reset_index(drop=True)

    def table(self) -> pd.DataFrame:
        """Table 1: one row per model, its AUC with intervals, and the paper's AUC."""
        return table1(self.results)

    def comparisons(self) -> pd.DataFrame:
        """One row per pair of models: the difference of their AUCs with its interval and its Holm-corrected p."""
        return comparisons_table(self.results)

    def subgroups(self) -> pd.DataFrame:
        """Every model by sex, age, view and source: counts, AUC, sensitivity and specificity with their intervals."""
        return subgroups_table(self.results)

    def operating_points(self) -> pd.DataFrame:
        """Every model at the threshold chosen on training images, and its calibration."""
        return operating_table(self.results)

    @property
    def depth(self) -> int | None:
        """Bits that a new image of more than 8 bits is read as: those of most such images of the run; None: its own.

        Raises:
            UserError: `results.json` is damaged, or an older version read such images of this run in another way.
        """
        results = self.results
        if "depth" not in results:
            return self._depth_of_old_version()
        depth = results["depth"]
        if depth is not None and (type(depth) is not int or not 1 <= depth <= 16):
            path = self.folder.path / "results.json"
            raise UserError(f"{path} is damaged: the depth of its images is 1 to 16 bits; got {depth!r}")
        return depth

    def _depth_of_old_version(self) -> None:
        """Refuses a run with 16-bit files: older versions divided their values by 65,535, whatever bits they used."""
        cohort = self.cohort
        if "bits" in cohort and ((cohort["bits"] > 8) & (cohort["format"] != "DICOM")).any():
            raise UserError(
                f"{self.folder.path} was trained by an older version, which read every file of more than 8 bits as 16 "
                "bits: run its study again to use its networks on other images"
            )

    @checked
    def history(self, model: str, *, seed: int | None = None, fold: int = 0) -> pd.DataFrame:
        """The training history of one network: one row per epoch."""
        row, seed = self._network(model, seed)
        return self.folder.read_table(self.folder.unit(folder_name(row.name), seed, fold).folder / "history.csv")

    @checked
    def model(self, name: str, *, seed: int | None = None, fold: int = 0) -> Classifier:
        """A trained network as a plain module in evaluation mode, its preprocessing inside.

        Args:
            name: the model's name, one of `models`.
            seed: seed of the study that it was trained with; the first by default.
            fold: fold of the split that it was trained on.

        Raises:
            UserError: no such row, seed or fold was trained, or its weights are damaged.
        """
        row, unit, record = self._trained(name, seed, fold)
        values = record["preprocessing"]
        preprocessing = Preprocessing(tuple(values["mean"]), tuple(values["std"]))
        try:
            state = load_file(unit.weights)
        except (SafetensorError, OSError) as error:
            raise UserError(
                f"{unit.weights} is damaged ({error}); delete {unit.folder} and run the study again"
            ) from error
        return restore_classifier(row, record["size"], state, preprocessing)

    @checked
    def size(self, name: str, *, seed: int | None = None, fold: int = 0) -> int:
        """Side of the images that a network was trained on, in pixels.

        Raises:
            UserError: no such row, seed or fold was trained.
        """
        return self._trained(name, seed, fold)[2]["size"]

    def _trained(self, name: str, seed: int | None, fold: int) -> tuple[ModelRow, NetworkFolder, dict[str, Any]]:
        row, seed = self._network(name, seed)
        unit = self.folder.unit(folder_name(row.name), seed, fold)
        if not unit.record.exists():
            reason = next((f": {row['reason']}" for row in self.results["skipped"] if row["name"] == name), "")
            raise UserError(f"'{name}' was not trained with seed {seed}, fold {fold} in {self.folder.path}{reason}")
        # Older versions did not record the size of a network: it was the study's.
        return row, unit, {"size": self.study.images.reference, **read_record(unit)}

    def _network(self, name: str, seed: int | None) -> tuple[ModelRow, int]:
        study = self.study
        for row in study.models:
            if row.name == name:
                return row, study.seeds[0] if seed is None else seed
        raise UserError(f"{self.folder.path}: {near_miss('model', name, [row.name for row in study.models])}")


def reopen(
    run: FinishedRun, data: str | Path | None = None, progress: Progress = SILENT
) -> tuple[Prepared, list[TrainingTask]]:
    """Prepares the images of a finished run again and lists its networks.

    Args:
        run: the finished run.
        data: folder of its images; by default where it was when the run was made.
        progress: display of the work in progress.

    Raises:
        UserError: the folder is absent, its images are not those of the run, or the run read them in another way.
    """
    study, data_dir = run.study, _folder(run, data)
    prepared = prepare(study, data_dir, progress, run.folder)
    _check_same(run, prepared.cache)
    rows = {row.name: row for row in study.models}
    training_tasks = [
        TrainingTask(rows[name], run.size(name, seed=seed, fold=split.fold), seed, split)
        for name in run.models
        for seed in study.seeds
        for split in prepared.splits
    ]
    return prepared, training_tasks


def images_of(
    run: FinishedRun,
    name: str,
    *,
    model: str,
    fold: int = 0,
    data: str | Path | None = None,
    progress: Progress = SILENT,
) -> tuple[Tensor, Tensor]:
    """The images of one set of a run's split as one of its networks sees them, and their labels; see `Run.images`."""
    rows, size = run.split(name, fold=fold), run.size(model, fold=fold)
    study, data_dir = run.study, _folder(run, data)
    pixels = Pixels(list_images(study, data_dir), study.images, progress)
    _check_same(run, pixels.at(study.images.reference)[0])
    evaluation_cache, training_cache = pixels.at(size)
    cache = training_cache if name == "train" else evaluation_cache
    return as_tensor(cache.batch(rows["image"].tolist())), torch.tensor(rows["label"].to_numpy("float32"))


def _folder(run: FinishedRun, data: str | Path | None) -> Path | None:
    """The folder of the run's images: `data`, or where it was when the run was made."""
    _ = run.depth  # refuses a run whose images were read in another way
    data_dir = data if data is not None else run.folder.read_json("environment.json")["data"]
    if data_dir is not None and not Path(data_dir).exists():
        raise UserError(f"the run's images are not at {data_dir}; give their folder with --data PATH")
    return Path(data_dir) if data_dir is not None else None


def _check_same(run: FinishedRun, cache: ImageCache) -> None:
    inputs = run.folder.read_json("environment.json")["inputs"]
    if images_digest(cache) != inputs["images_sha256"]:
        raise UserError(
            f"the images are not those of the run {run.folder.path} ({len(cache.index)} in the folder, "
            f"{inputs['images']} in the run): give the run's own folder with --data, or run the study again"
        )
