"""What a researcher in a notebook does with a finished run: `cxrlens.Run`, each method the function of one command."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from torch import Tensor

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
    """A finished run: its tables and networks, and what can be asked of them.

    Nothing is printed unless `progress` says where. Paths are `str` or `pathlib.Path`. For research only; never for
    diagnosis.
    """

    def images(
        self,
        name: str = "validation",
        *,
        model: str,
        fold: int = 0,
        data: str | Path | None = None,
        progress: Progress = SILENT,
    ) -> tuple[Tensor, Tensor]:
        """The run's own images as one of its networks sees them, before any augmentation.

        Args:
            name: the set of the split, "train" or "validation".
            model: the model's name, one of `models`; it decides the size.
            fold: which fold of the split.
            data: the folder of the run's images; where it was when the run was made, by default.
            progress: where reading the images is shown.

        Returns:
            x, float32 [n, 1, size, size] in [0, 1], and y, float32 [n], 1 for positive and 0 for negative: in the order
            of `split(name)`, which has their names and patients.

        Raises:
            UserError: there is no such set, model or fold, or the images are not those that the run was made with.
        """
        return images_of(self, name, model=model, fold=fold, data=data, progress=progress)

    def load_image(self, path: str | Path, *, model: str) -> Tensor:
        """One new X-ray as a network of this run is given it, float32 [1, 1, size, size] in [0, 1].

        It is resized as the study says, and a file of more than 8 bits is read as the run's own were.

        Args:
            path: a PNG, JPEG, TIFF, BMP, WebP or DICOM file.
            model: the model's name, one of `models`; it decides the size.

        Raises:
            UserError: there is no such model or file, or the file is no readable X-ray.
        """
        interpolation = self.study.images.interpolation
        return load_image(path, size=self.size(model), interpolation=interpolation, depth=self.depth)

    def predict(self, paths: Paths, *, device: str = "auto", progress: Progress = SILENT) -> pd.DataFrame:
        """Probabilities of new images by every model, a row an image; see `cxrlens.pipeline.predict.predict`.

        Args:
            paths: one path or many, of images or of folders of images.
            device: "auto", "cpu" or "cuda".
            progress: where work is shown.

        Returns:
            The columns `image`, one a model (the mean over its seeds and folds), `problem` (why an image could not be
            read), `warnings` (what is odd with it) and `side` ("new", or the set of this run that it belongs to).

        Raises:
            UserError: a path is absent, or no file can be read.
        """
        return predict(self, paths, device=device, progress=progress)

    def explain(
        self,
        paths: Paths,
        *,
        out: str | Path | None = None,
        methods: Sequence[str] | None = None,
        device: str = "auto",
        progress: Progress = SILENT,
        force: bool = False,
    ) -> Explanation:
        """Attribution maps of new images by every model's first network, drawn as Figure 1.

        Args:
            paths: one path or many, of images.
            out: the figure's path; PNG and PDF are written, and the raw maps in a folder of that name. By default
                `figures/explained.png` in the run's folder, which the next call writes over.
            methods: names of attribution methods; the study's by default.
            device: "auto", "cpu" or "cuda".
            progress: where work is shown.
            force: write over files that cxrlens did not write; never over the images or the run's own files.

        Raises:
            UserError: a path is absent, a folder or no readable X-ray, a method is unknown or no model can have it, or
                `out` must not be written over.
        """
        return explain_images(self, paths, out=out, methods=methods, device=device, progress=progress, force=force)

    def audit(
        self,
        data: str | Path | None = None,
        *,
        also: Sequence[str] = (),
        full: bool = False,
        device: str = "auto",
        study_dir: str | Path | None = None,
        progress: Progress = SILENT,
    ) -> Audit:
        """What the networks may use in place of the lungs; also written into the run's folder and report.

        What an earlier or interrupted audit found of a network is not computed again.

        Args:
            data: the folder of the run's images; where it was when the run was made, by default.
            also: names of further probes, which train networks of their own.
            full: evaluate maps on every validation image, not on a sample.
            device: "auto", "cpu" or "cuda".
            study_dir: the folder that relative weight paths start from; as when the run was made, by default.
            progress: where work is shown.

        Raises:
            UserError: an unknown probe, or the images are not those that the run was made with.
        """
        record = audit_run(self, data, also=also, full=full, device=device, study_dir=study_dir, progress=progress)
        return Audit(self.folder.path, record)

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
        """Every model on images from elsewhere, none of which the run was made with; written to file and report.

        Args:
            data: the folder of the other images; None where their source needs none.
            study: the study, or its file, whose `[data]` says how they are listed and labelled; the run's by default.
            out: the JSON file of the result, the predictions beside it; by default `external/NAME.json` in the run's
                folder, and then the run's report is written anew with it.
            device: "auto", "cpu" or "cuda".
            progress: where work is shown.
            ids_apart: whether equal patient ids here and in the run are different people.
            force: write over files that cxrlens did not write.

        Raises:
            UserError: the images cannot be listed or read, fewer than 2 of a class are left, or `out` is no JSON file
                or must not be written over.
        """
        file = Path(out) if out is not None else None
        if file is not None:
            if file.suffix != ".json":
                raise UserError(f"--out is a JSON file, such as outside.json; got {file}")
            described = [Path(study)] if isinstance(study, str | Path) else []
            check_external(self, file, described, [Path(data)] if data is not None else [], force)
        result = evaluate_external(self, data, study=study, device=device, progress=progress, ids_apart=ids_apart)
        result = write_external(self, result, file, force)
        if file is None:
            self.report()
        return result

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
        """Writes the report anew from the run's folder, as one HTML page; returns its file.

        Args:
            out: the page's file; by default the run's `report.html`, or `report-shared.html` of a page with less in it.
            images: whether X-rays are shown.
            notes: whether the notes of the images' table are shown.
            names: whether patients and files have their names; otherwise they are numbered. This anonymises nothing
                else.
            progress: where it is said what may not be passed on.
            force: write over a file that is no page of cxrlens.

        Raises:
            UserError: a file of the run is damaged, or `out` is no HTML file or must not be written over.
        """
        return write_report(self, out, images=images, notes=notes, names=names, progress=progress, force=force)


@dataclass(frozen=True, eq=False)
class Audit:
    """The audit of a run.

    Attributes:
        folder: the run's, which holds `audit.json`, the page in words `audit.md`, and the report.
        record: what `audit.json` holds: `findings`, `maps`, `reuse`, `lungs` and `summary`.
    """

    folder: Path
    record: dict[str, Any]

    @property
    def results(self) -> pd.DataFrame:
        """A row a result: probe, model, verdict, value with its interval, p, and what it says and does not show.

        The model is None for a result of the images and their table; an unknown number is NaN.
        """
        columns = [
            "probe", "model", "verdict", "value", "low", "high", "p", "p_holm", "statistic", "sentence", "limits",
            "reason",
        ]  # fmt: skip
        table = pd.DataFrame(self.record["findings"], columns=columns)
        return table.astype(dict.fromkeys(("value", "low", "high", "p", "p_holm"), float))

    @property
    def summary(self) -> str:
        """The page in words, as Markdown."""
        return self.record["summary"]["markdown"]

    def __repr__(self) -> str:
        counts = self.results["verdict"].value_counts()
        verdicts = ", ".join(f"{counts.get(name, 0)} {name}" for name in ("flag", "undecided", "clear"))
        lines = [f"Audit of {self.folder}: {len(self.results)} results ({verdicts})"]
        lines += [f"  {part['name']}: {part['headline']}" for part in self.record["summary"]["models"]]
        return "\n".join(lines)
