"""A study from its file to its run folder, and a finished run as Python sees it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from safetensors import SafetensorError
from safetensors.torch import load_file

from cxrlens.errors import UserError
from cxrlens.files import write_text
from cxrlens.models.backbones import Preprocessing
from cxrlens.models.classifier import Classifier, restore_classifier
from cxrlens.pipeline.environment import Stopwatch, earlier_stages, write_environment
from cxrlens.pipeline.fit import fit_unit, jobs
from cxrlens.pipeline.judge import judge
from cxrlens.pipeline.prepare import prepare, summary, write_cohort
from cxrlens.pipeline.record import read_record
from cxrlens.pipeline.rows import trainable_rows
from cxrlens.progress import SILENT, Progress
from cxrlens.report.details import operating_table, subgroups_table
from cxrlens.report.tables import comparisons_table, table1
from cxrlens.run_folder import RunFolder, Unit
from cxrlens.study import ModelRow, Study, folder_name
from cxrlens.train.device import choose_device


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


def run(
    study: Study,
    data: str | Path | None = None,
    out: str | Path = "run",
    device: str = "auto",
    progress: Progress = SILENT,
    near: str | Path | None = None,
    text: str | None = None,
) -> Run:
    """Runs a study, or goes on with one that was interrupted.

    Args:
        study: what is asked.
        data: the folder of the study's source; None where it needs none.
        out: the run's folder; one that holds the same study is gone on with.
        device: "auto", "cpu" or "cuda".
        progress: where work is shown; nothing is printed by default.
        near: the folder that relative weight paths start from.
        text: the study file as its author wrote it, to be kept with the run; the whole study otherwise.

    Returns:
        The finished run.

    Raises:
        UserError: anything the user can mend. What is finished stays, and the same call goes on from there.
        KeyboardInterrupt: Ctrl-C; likewise.
    """
    root, near = Path(data) if data is not None else None, Path(near) if near is not None else None
    where = RunFolder(Path(out))
    chosen = choose_device(device)
    with where.locked():
        _keep_study(where, study, text)
        watch = Stopwatch(earlier_stages(where))
        with watch.stage("cohort"):
            prepared = prepare(study, root, progress)
            write_cohort(where, prepared)
        for sentence in prepared.warnings:
            progress.say(f"warning: {sentence}")
        try:
            with watch.stage("models"):
                rows, skipped = trainable_rows(study, near, progress)
            with watch.stage("cohort"):
                for size in dict.fromkeys(each.size for each in rows):
                    prepared.pixels.at(size)  # a full disk shows before hours of training
            done = jobs(prepared, rows)
            with progress.task("networks", len(done)) as task:
                for number, job in enumerate(done):
                    task.update(number)
                    with watch.stage(f"train {job.title}"):
                        seconds = fit_unit(job, prepared, where, chosen, near, progress)
                    progress.say(
                        f"{job.title}: " + (f"trained in {seconds:.0f} s" if seconds else "was trained before")
                    )
            with watch.stage("evaluate"):
                judge(where, study, done, summary(prepared), prepared.groups, prepared.warnings, skipped)
        finally:
            told = str(data) if data is not None else None
            write_environment(where, prepared.digest, len(prepared.cache.index), chosen, watch, told)
    return Run(where)


def _keep_study(where: RunFolder, study: Study, text: str | None) -> None:
    if not where.study.exists() or not where.has_networks:  # a study mended before anything was trained
        write_text(where.study, text or study.to_toml())
    elif Study.load(where.study) != study:
        raise UserError(
            f"{where.path} holds another study ({where.study}); choose another --out, or delete that folder"
        )
