"""A pretraining from its file to a weight file with its card: gather → train → judge, resumable at any step."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from cxrlens import __version__
from cxrlens.errors import UserError
from cxrlens.files import write_text
from cxrlens.models.backbones import Preprocessing
from cxrlens.models.classifier import Classifier, ModelOptions, build_classifier, seeded
from cxrlens.models.heads import pooled_head
from cxrlens.models.weights.find import find_weights
from cxrlens.pipeline.environment import Stopwatch, earlier_stages, write_environment
from cxrlens.pipeline.pretrain_evaluate import evaluate_pretraining
from cxrlens.pipeline.pretrain_images import PretrainData, gather
from cxrlens.pretrain_study import BackboneOptions, PretrainStudy, Scale
from cxrlens.progress import SILENT, Progress
from cxrlens.run_folder import RunFolder
from cxrlens.study import folder_name
from cxrlens.train.checkpoint import load_checkpoint, save_checkpoint
from cxrlens.train.device import Device, choose_device
from cxrlens.train.distil import distilling, pooled_features, standardised
from cxrlens.train.inputs import LabelledImages
from cxrlens.train.loop import Fit, train, training_fault
from cxrlens.train.training_options import cross_entropy

CHECKPOINT, TRAINED = "checkpoint.safetensors", "trained.safetensors"  # where it stands; the whole network, at the end


@dataclass(frozen=True)
class Pretrained:
    """A finished pretraining.

    Attributes:
        folder: where it is: `weights.safetensors`, `card.json`, `MODEL_CARD.md`, `results.json`, `history.csv`.
    """

    folder: Path

    @property
    def weights(self) -> Path:
        """The weight file: a study takes it by its path."""
        return self.folder / "weights.safetensors"

    @property
    def results(self) -> dict[str, Any]:
        """AUC of each finding and each linear probe, with intervals."""
        return RunFolder(self.folder).read_json("results.json")


def pretrain(
    study: PretrainStudy | str | Path,
    data: str | Path | None = None,
    *,
    out: str | Path | None = None,
    device: str = "auto",
    progress: Progress = SILENT,
    study_dir: str | Path | None = None,
) -> Pretrained:
    """Runs a pretraining, or goes on with one that was interrupted.

    Args:
        study: the pretraining, or its file, which is kept as its author wrote it.
        data: the folder above the sets' folders; None where they need none.
        out: the folder of the result, `runs/NAME` by default; an interrupted pretraining in it is continued.
        device: "auto", "cpu" or "cuda" (in bfloat16).
        progress: where work is shown.
        study_dir: the folder that relative weight paths start from; the pretraining file's by default.

    Raises:
        UserError: anything the user can mend.
        KeyboardInterrupt: Ctrl-C; the same call goes on from there.
    """
    file = None if isinstance(study, PretrainStudy) else Path(study)
    named = folder_name(study.name) if isinstance(study, PretrainStudy) else Path(study).stem
    run = RunFolder(Path(out) if out is not None else Path("runs") / named)
    study = study if isinstance(study, PretrainStudy) else PretrainStudy.load(study)
    data_dir, study_dir = (
        Path(data) if data is not None else None,
        Path(study_dir) if study_dir is not None else file and file.parent,
    )
    text = file.read_text(encoding="utf-8-sig") if file else None
    chosen = choose_device(device)
    with run.locked("pretraining"):
        _keep(run, study, text)
        watch = Stopwatch(earlier_stages(run))
        if fault := training_fault(_classifier(study.backbone, study, study_dir), min(2, study.training.batch)):
            raise UserError(f"{study.name}: {fault}")
        with watch.stage("images"):
            images = gather(study, data_dir, progress)
            run.write_table(run.path / "labels.csv", images.table)
        try:
            known = _identity(study, images, study_dir)
            with watch.stage("train"):
                started = _classifier(study.backbone, study, study_dir)
                trained = _fit(study, images, run, known, chosen, study_dir, progress)
            with watch.stage("judge"):
                evaluate_pretraining(run, study, images, started, trained, known, chosen, progress)
        finally:
            write_environment(run, images.digest, len(images.table), chosen, watch, data, study_dir)
    return Pretrained(run.path)


def _keep(run: RunFolder, study: PretrainStudy, text: str | None) -> None:
    begun = run.study.exists() and any((run.path / name).exists() for name in (CHECKPOINT, TRAINED))
    if begun and _what_trains(PretrainStudy.load(run.study)) != _what_trains(study):
        raise UserError(
            f"{run.path} holds another pretraining ({run.study}); choose another --out, or delete that folder"
        )
    write_text(run.study, text or study.to_toml())


def _what_trains(study: PretrainStudy) -> dict[str, Any]:
    """All but what is only asked or written of the weights afterwards."""
    told = study.model_dump(mode="json", exclude={"card", "evaluation", "precision"})
    return told | {"data": [each for each in told["data"] if not each["probe_only"]]}


def _classifier(options: BackboneOptions, study: PretrainStudy, study_dir: Path | None) -> Classifier:
    chosen = options.preprocessing
    row = ModelOptions(
        name=options.name,
        backbone=options.name,
        weights=options.weights,
        head="linear",
        preprocessing="weights" if isinstance(chosen, Scale) else chosen,
    )
    model = build_classifier(row, study.images.size, study.seed, study_dir)
    if isinstance(chosen, Scale):
        model.set_preprocessing(Preprocessing((chosen.mean,) * 3, (chosen.std,) * 3))
    return model


def _fit(
    study: PretrainStudy,
    images: PretrainData,
    run: RunFolder,
    known: str,
    device: Device,
    study_dir: Path | None,
    progress: Progress,
) -> Classifier:
    """The trained network, from `trained.safetensors` where training is done."""
    model = _classifier(study.backbone, study, study_dir)
    data, watched = images.labelled("train"), images.labelled("validation")
    loss, outputs = cross_entropy, len(images.findings)
    done = run.path / TRAINED
    found = load_checkpoint(done, known)
    if study.teacher and not found:
        teacher = _classifier(study.teacher, study, study_dir)
        flips, size = study.augment.horizontal_flip, teacher.weights.size
        features = standardised(pooled_features(teacher, data, device, progress, flips, size))
        data = LabelledImages(data.cache, data.images, np.concatenate([data.labels, features], axis=1))
        loss, outputs = distilling(len(images.findings), study.teacher.weight), data.labels.shape[1]
    elif outputs == 1:  # a single logit has no column of its own
        data, watched = (replace(each, labels=each.labels[:, 0].copy()) for each in (data, watched))
    with seeded(study.seed):
        model.head = pooled_head(model.backbone.channels, len(images.findings) if found else outputs)
    if found:
        model.load_state_dict(found[0])
        return device.place(model).eval()
    fit = Fit(
        model, data, watched, study.training, study.augment, study.seed, 0, device,
        run.path / CHECKPOINT, known, study.name, loss,
    )  # fmt: skip
    history = train(fit, progress)
    run.write_table(run.path / "history.csv", history)
    _drop_teacher(model, len(images.findings))
    save_checkpoint(done, known, model.state_dict(), {})
    (run.path / CHECKPOINT).unlink(missing_ok=True)
    return model


def _drop_teacher(model: Classifier, findings: int) -> None:
    """Leaves of the head what speaks of findings."""
    taught: Any = model.head
    kept = pooled_head(model.backbone.channels, findings)
    kept.load_state_dict({name: each[:findings] for name, each in taught.state_dict().items()})
    model.head = kept.to(next(taught.parameters()).device)


def _identity(study: PretrainStudy, images: PretrainData, study_dir: Path | None) -> str:
    """What the weights' bits depend on, as a digest."""
    networks = [study.backbone, *([study.teacher] if study.teacher else [])]
    files = [find_weights(each.weights, each.name, study_dir) for each in networks]
    told = {
        "version": __version__,
        "study": _what_trains(study),
        "weights": [hashlib.sha256(file.read_bytes()).hexdigest() if file else None for file in files],
        "images": images.digest,
    }
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()
