"""Every network of a finished run judged on images from elsewhere, none of which it was made with."""

from __future__ import annotations

import hashlib
import itertools
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from cxrlens.data.cohort import Cohort
from cxrlens.data.steps import reading_notes, reading_sentences
from cxrlens.errors import UserError
from cxrlens.evaluate.auc import too_few
from cxrlens.evaluate.records import Evaluation, plain
from cxrlens.outputs import check_output, json_of, table_of
from cxrlens.pipeline.external_images import Outside, numbered_alike, outside_images
from cxrlens.pipeline.external_judge import ExternalModel, judge_outside, training_predictions
from cxrlens.pipeline.external_networks import predict_outside
from cxrlens.pipeline.finished import Run
from cxrlens.pipeline.pixels import decoded
from cxrlens.pipeline.prepare import Prepared, listed
from cxrlens.pipeline.reopen import reopen
from cxrlens.progress import SILENT, Progress
from cxrlens.run_folder import SCHEMA_VERSION, RunFolder
from cxrlens.study import Study, folder_name, read_study
from cxrlens.train.device import choose_device

PREDICTIONS = ("model", "seed", "fold", "image", "patient", "label", "probability", "logit")
LIMITS = (
    "Other images differ in everything at once (machines, patients, how disease was labelled): a fall does not say "
    "which of it counts, and a network that holds up may use a shortcut that both sets have."
)


@dataclass(frozen=True)
class External:
    """A run's models on other images.

    Attributes:
        name: of the other images: their study's, or their folder's.
        data: where they are from: `source`, `study` and `folder` (its last name); None where there is none.
        study: name of the run's.
        images: those that judge, and why others do not.
        models: each one inside and outside, in the run's order.
        evaluation: all that is said of the models outside.
        predictions: model, seed, fold, image, patient, label, probability, logit.
        place: a hash of where the other images lie, which tells two folders of one name apart; "" where there is none.
        file: the JSON file that the result was written to, the predictions beside it; None before.
    """

    name: str
    data: dict[str, str | None]
    study: str
    images: Outside
    models: tuple[ExternalModel, ...]
    evaluation: Evaluation
    predictions: pd.DataFrame
    place: str = ""
    file: Path | None = None

    def table(self) -> pd.DataFrame:
        """A row a model: AUC inside (on the run's validation images) and outside, and the difference, with intervals.

        `p_holm` is of no difference, corrected for the number of models; sensitivity and specificity are outside, at
        each network's threshold from its training images. Unknown is NaN.
        """
        return pd.DataFrame(
            {
                "model": model.name,
                "inside": model.inside_auc, "inside_low": model.inside_low, "inside_high": model.inside_high,
                "outside": model.outside.auc, "outside_low": model.outside.auc_low,
                "outside_high": model.outside.auc_high,
                "difference": model.change.difference, "low": model.change.low, "high": model.change.high,
                "p_holm": model.change.p_holm,
                "sensitivity": model.outside.threshold.sensitivity, "specificity": model.outside.threshold.specificity,
            }
            for model in self.models
        )  # fmt: skip

    def __repr__(self) -> str:
        positive, negative = self.images.classes
        lines = [f"{self.study} on {self.name}: {positive} positive and {negative} negative images"]
        for model in self.models:
            inside, outside = model.inside_auc, model.outside.auc
            lines.append(f"  {model.name}: AUC {inside:.3f} inside, {outside:.3f} outside")
        return "\n".join(lines)

    def to_json(self) -> dict[str, Any]:
        """Plain values; the predictions are a table of their own."""
        judged, (positive, negative) = self.evaluation.to_json(), self.images.classes
        counts = {"listed": self.images.listed, "judged": len(self.images.table)}
        return {
            "schema_version": SCHEMA_VERSION,
            "study": self.study,
            "data": {"name": self.name, **self.data},
            "place": self.place,
            "images": {**counts, "positive": positive, "negative": negative},
            "left_out": self.images.left_out,
            "left_out_by_the_study": self.images.unasked,
            "notes": list(self.images.notes),
            "models": [_plain_model(model) for model in self.models],
            "comparisons": judged["comparisons"],
            "winner": judged["winner"],
            "evaluation": judged["evaluation"],
            "limits": LIMITS,
            "notice": "For research only; never for diagnosis.",
        }


def evaluate_external(
    run: Run,
    data: str | Path | None = None,
    *,
    study: Study | str | Path | None = None,
    device: str = "auto",
    progress: Progress = SILENT,
    ids_apart: bool = False,
) -> External:
    """Judges a run's networks on images from elsewhere.

    Every network looks at every image. What the run was made with is left out and counted: the same files, copies of
    them, other images of its patients.

    Args:
        run: finished.
        data: the folder of the other images; None where their source needs none.
        study: the study, or its file, whose `[data]` says how they are listed and labelled; nothing else of it counts.
            The run's own by default.
        device: "auto", "cpu" or "cuda".
        progress: where work is shown.
        ids_apart: equal patient ids are different people, as where two places number theirs from 1. Otherwise they are
            one person wherever both sets are of one kind of source.

    Raises:
        UserError: the images cannot be listed or read, or fewer than 2 of a class are left. No network is loaded then.
    """
    study = read_study(study)[0] if study is not None else None
    chosen, root = choose_device(device), Path(data) if data is not None else None
    source, options = (study or run.study).data, run.study.images
    same_people = not ids_apart and numbered_alike(run.study.data, source)
    cohort = _other_images(run, root, study)
    cache = decoded(cohort, options.reference, options.interpolation, progress, run.depth)
    reopened = _own_images(run, progress)
    images = outside_images(
        cohort.with_missing(cache.missing), cache, run.cohort, reopened.cache if reopened else None,
        same_people, progress,
    )  # fmt: skip
    images = replace(images, notes=(*images.notes, *reading_notes(cache.facts), *reading_sentences(cache.facts)))
    positive, negative = images.classes
    if min(positive, negative) < 2:
        hint = "; where equal ids are different people, say --ids-apart" if images.left_out["same_patient"] else ""
        raise UserError(f"{too_few(positive, negative)}. To judge this run there are {images.sentence}{hint}")
    training = training_predictions(run)
    predictions = predict_outside(run, cohort, images.table, chosen, progress)
    run_groups = reopened.groups if reopened else {}
    judged, models = judge_outside(run, predictions, training, images.table, images.groups, run_groups)
    folder = root.resolve().name if root is not None and source.needs_root else None
    told = {"source": cohort.name, "study": study.name if study else None, "folder": folder}
    name = study.name if study else folder or run.study.name
    place = hashlib.sha256(os.fsencode(root.resolve())).hexdigest()[:16] if folder is not None and root else ""
    return External(name, told, run.study.name, images, models, judged, predictions, place)


def check_external(
    run: Run, out: Path, inputs: Sequence[Path] = (), folders: Sequence[Path] = (), force: bool = False
) -> None:
    """Refuses, before any work, an `out` that `write_external` must not write over.

    Args:
        run: whose own files are safe, too.
        out: the JSON file; the predictions go beside it.
        inputs: files that are read.
        folders: folders whose files are read.
        force: write over files of other origin.

    Raises:
        UserError: it or the table beside it is read, or is there and no earlier result.
    """
    known = [*inputs, *run.folder.own_files()]
    written = json_of("data", "left_out", "left_out_by_the_study", "evaluation")
    check_output(out, "the result", written, known, folders, force)
    check_output(out.with_suffix(".csv"), "the table of predictions", table_of(PREDICTIONS), known, folders, force)


def write_external(run: Run, found: External, out: Path | None = None, force: bool = False) -> External:
    """Writes `external/NAME.json` into the run's folder, or `out`, and the predictions beside it as CSV.

    Where NAME is there already of another folder, the name is numbered, "NAME 2", in the file and on the page too.

    Returns:
        The result under the name that it has there, with its `file`.

    Raises:
        UserError: it cannot be written, or see `check_external`.
    """
    if out is not None:
        check_external(run, out, force=force)
    found, path = (found, out) if out is not None else _numbered(found, run.folder.path / "external")
    run.folder.write_table(path.with_suffix(".csv"), found.predictions)
    RunFolder(path.parent).write_json(path.name, found.to_json())
    return replace(found, file=path)


def _numbered(found: External, folder: Path) -> tuple[External, Path]:
    """The result under a name that no result of another folder has, and its file."""
    for number in itertools.count(1):
        name = found.name if number == 1 else f"{found.name} {number}"
        path = folder / f"{folder_name(name)}.json"
        if not path.exists() or RunFolder(folder).read_json(path.name).get("place", found.place) == found.place:
            return replace(found, name=name), path
    raise AssertionError


def _other_images(run: Run, root: Path | None, study: Study | None) -> Cohort:
    try:
        return listed(study or run.study, root)
    except UserError as error:
        if study is not None or root is None:
            raise
        hint = "they were read as the run's study says; where they are laid out or labelled otherwise, give a --study"
        raise UserError(f"{error} ({hint})") from error


def _own_images(run: Run, progress: Progress) -> Prepared | None:
    """The run's own images, where they still are what and where they were."""
    try:
        return reopen(run, None, progress)[0]
    except UserError:
        return None


def _plain_model(model: ExternalModel) -> dict[str, Any]:
    outside = plain(model.outside)
    for key in ("name", "seeds", "folds", "seed_aucs", "auc_seed_sd", "curves"):  # networks stand for these
        del outside[key]
    change = plain(model.change)
    return {
        "name": model.name,
        "inside": {
            "auc": model.inside_auc, "auc_low": model.inside_low, "auc_high": model.inside_high,
            "rough": model.inside_rough, "reason": model.inside_reason,
        },
        "outside": {**outside, "networks": plain(model.networks)},
        "difference": {key: change[key] for key in ("difference", "low", "high", "p", "p_holm", "reason")},
    }  # fmt: skip
