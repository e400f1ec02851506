"""The Python interface of a finished run: `cxrlens.Run`. Its methods do what the commands do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from torch import Tensor

from cxrlens.arguments import checked
from cxrlens.errors import UserError
from cxrlens.pipeline.audit.stage import audit_run
from cxrlens.pipeline.explain.images import Explanation, explain_images
from cxrlens.pipeline.external import ExternalResult, check_external, evaluate_external, write_external
from cxrlens.pipeline.finished_run import FinishedRun, images_of
from cxrlens.pipeline.predict import load_image, predict
from cxrlens.pipeline.report import write_report
from cxrlens.progress import SILENT, Progress
from cxrlens.study import Study

Paths = str | Path | Sequence[str | Path]


@dataclass(frozen=True, repr=False)
class Run(FinishedRun):
    """A finished run: its tables and networks, and methods that apply the networks.

    Nothing is printed unless `progress` is given. Paths are `str` or `pathlib.Path`. For research only; never for
    diagnosis.
    """

    @checked
    def images(
        self,
        name: str = "validation",
        *,
        model: str,
        fold: int = 0,
        data: str | Path | None = None,
        progress: Progress = SILENT,
    ) -> tuple[Tensor, Tensor]:
        """The run's own images as input of one of its networks, before any augmentation.

        Args:
            name: set of the split, "train" or "validation".
            model: name of the model, one of `models`; it decides the size.
            fold: fold of the split.
            data: folder of the run's images; by default where it was when the run was made.
            progress: display of the work in progress.

        Returns:
            x, float32 [n, 1, size, size] in [0, 1], and y, float32 [n], 1 for positive and 0 for negative. The order is
            that of `split(name)`, which has their names and patients.

        Raises:
            UserError: there is no such set, model or fold, or the images are not those of the run.
        """
        return images_of(self, name, model=model, fold=fold, data=data, progress=progress)

    @checked
    def load_image(self, path: str | Path, *, model: str) -> Tensor:
        """Reads one new X-ray as input of a network of this run, float32 [1, 1, size, size] in [0, 1].

        It is resized as the study says, and a file of more than 8 bits is read like the run's own images.

        Args:
            path: a PNG, JPEG, TIFF, BMP, WebP or DICOM file.
            model: name of the model, one of `models`; it decides the size.

        Raises:
            UserError: there is no such model or file, or the file is not a readable X-ray.
        """
        interpolation = self.study.images.interpolation
        return load_image(path, size=self.size(model), interpolation=interpolation, depth=self.depth)

    def predict(self, paths: Paths, *, device: str = "auto", progress: Progress = SILENT) -> pd.DataFrame:
        """Probabilities of new images by every model, one row per image; see `cxrlens.pipeline.predict.predict`.

        Args:
            paths: one or several images or folders of images.
            device: "auto", "cpu" or "cuda".
            progress: display of the work in progress.

        Returns:
            The columns `image`, one per model (the mean over its seeds and folds), `problem` (the reason why an image
            could not be read), `warnings` (problems of an image that was read) and `side` ("new", or the set of this
            run that the image belongs to).

        Raises:
            UserError: a path is absent, or none of the files can be read.
        """
        return predict(self, paths, device=device, progress=progress)

    @checked
    def explain(
        self,
        paths: Paths,
        *,
        out: str | Path | None = None,
        methods: str | Sequence[str] | None = None,
        device: str = "auto",
        progress: Progress = SILENT,
        force: bool = False,
    ) -> Explanation:
        """Attribution maps of new images by every model (the network of its first seed and fold), drawn as Figure 1.

        Args:
            paths: one or several images.
            out: file of the figure. PNG and PDF are written, and the raw maps in a folder of that name. By default
                `figures/explained.png` in the run's folder, which the next call overwrites.
            methods: names of attribution methods; the study's by default.
            device: "auto", "cpu" or "cuda".
            progress: display of the work in progress.
            force: overwrite files that cxrlens did not write; never the images or the run's own files.

        Raises:
            UserError: a path is absent, a folder or not a readable X-ray, a method is unknown or works with no model,
                or `out` must not be overwritten.
        """
        return explain_images(self, paths, out=out, methods=methods, device=device, progress=progress, force=force)

    @checked
    def audit(
        self,
        data: str | Path | None = None,
        *,
        also: str | Sequence[str] = (),
        full: bool = False,
        device: str = "auto",
        study_dir: str | Path | None = None,
        progress: Progress = SILENT,
    ) -> Audit:
        """Tests whether the networks use something other than the lungs; also written into the run's folder and report.

        Results that an earlier or interrupted audit computed for a network are not computed again.

        Args:
            data: folder of the run's images; by default where it was when the run was made.
            also: names of further tests, which train networks of their own.
            full: whether maps are evaluated on every validation image, not on a sample.
            device: "auto", "cpu" or "cuda".
            study_dir: folder that relative weight paths start from; by default that of the run.
            progress: display of the work in progress.

        Raises:
            UserError: a probe is unknown, or the images are not those of the run.
        """
        record = audit_run(self, data, also=also, full=full, device=device, study_dir=study_dir, progress=progress)
        return Audit(self.folder.path, record)

    @checked
    def evaluate(
        self,
        data: str | Path | None = None,
        *,
        study: Study | str | Path | None = None,
        out: str | Path | None = None,
        device: str = "auto",
        progress: Progress = SILENT,
        ids_apart: bool = False,
        force: bool = False,
    ) -> ExternalResult:
        """Evaluates every model on other images, without those of the run's patients; writes a file and the report.

        Args:
            data: folder of the other images; None if their source needs none.
            study: study, or its file, whose `[data]` lists and labels the other images; the run's by default.
            out: JSON file of the result, with the predictions beside it. By default it is `external/NAME.json` in the
                run's folder, and the run's report is written again with it.
            device: "auto", "cpu" or "cuda".
            progress: display of the work in progress.
            ids_apart: whether equal patient ids in both sets of images are different people.
            force: overwrite files that cxrlens did not write.

        Raises:
            UserError: the images cannot be listed or read, fewer than 2 of a class are left, or `out` is not a JSON
                file or must not be overwritten.
        """
        file = Path(out) if out is not None else None
        if file is not None:
            if file.suffix != ".json":
                raise UserError(f"--out needs a file that ends in .json; got {file}")
            study_files = [Path(study)] if isinstance(study, str | Path) else []
            check_external(self, file, study_files, [Path(data)] if data is not None else [], force)
        result = evaluate_external(self, data, study=study, device=device, progress=progress, ids_apart=ids_apart)
        result = write_external(self, result, file, force)
        if file is None:
            self.report()
        return result

    @checked
    def report(
        self,
        out: str | Path | None = None,
        *,
        images: bool = True,
        notes: bool = True,
        names: bool = True,
        progress: Progress = SILENT,
        force: bool = False,
    ) -> Path:
        """Writes the report again from the run's folder, as one HTML page; returns its file.

        Args:
            out: file of the page; by default the run's `report.html`, or `report-shared.html` if anything is left out.
            images: whether X-rays are shown.
            notes: whether the notes of the images' table are shown.
            names: whether patient ids and file names are shown; otherwise both are numbered. Nothing else is
                anonymised.
            progress: display of the conditions of sharing and of what is left out.
            force: overwrite a file that is not a page of cxrlens.

        Raises:
            UserError: a file of the run is damaged, or `out` is not an HTML file or must not be overwritten.
        """
        return write_report(self, out, images=images, notes=notes, names=names, progress=progress, force=force)


@dataclass(frozen=True, eq=False)
class Audit:
    """The audit of a run.

    Attributes:
        folder: folder of the run, with `audit.json`, the summary `audit.md` and the report.
        record: content of `audit.json`: `findings`, `maps`, `reuse`, `lungs` and `summary`.
    """

    folder: Path
    record: dict[str, Any]

    @property
    def results(self) -> pd.DataFrame:
        """One row per result: probe, model, verdict, value with its interval, p, a sentence and its limits.

        The model is None for a result on the images and their table. An unknown number is NaN.
        """
        columns = [
            "probe", "model", "verdict", "value", "low", "high", "p", "p_holm", "statistic", "sentence", "limits",
            "reason",
        ]  # fmt: skip
        table = pd.DataFrame(self.record["findings"], columns=columns)
        return table.astype(dict.fromkeys(("value", "low", "high", "p", "p_holm"), float))

    @property
    def summary(self) -> str:
        """The summary as Markdown."""
        return self.record["summary"]["markdown"]

    def __repr__(self) -> str:
        counts = self.results["verdict"].value_counts()
        verdicts = ", ".join(f"{counts.get(name, 0)} {name}" for name in ("flag", "undecided", "clear"))
        lines = [f"Audit of {self.folder}: {len(self.results)} results ({verdicts})"]
        lines += [f"  {part['name']}: {part['headline']}" for part in self.record["summary"]["models"]]
        return "\n".join(lines)
