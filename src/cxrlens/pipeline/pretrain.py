"""Runs a pretraining from its file to a weight file with its card: gather, train, evaluate; resumable at any step."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cxrlens import __version__
from cxrlens.arguments import checked
from cxrlens.errors import UserError
from cxrlens.evaluate.probe import FindingAuc, finding_auc, linear_probe
from cxrlens.evaluate.records import plain
from cxrlens.files import write_text
from cxrlens.models.backbones import Preprocessing
from cxrlens.models.classifier import Classifier, ModelOptions, build_classifier, seeded
from cxrlens.models.heads import pooled_head
from cxrlens.models.weights.cards import WeightCard
from cxrlens.models.weights.find import find_weights
from cxrlens.models.weights.store import write_weights
from cxrlens.pipeline.environment import Stopwatch, earlier_stages, write_environment
from cxrlens.pipeline.pretrain_images import PretrainData, gather
from cxrlens.pretrain_study import BackboneOptions, PretrainStudy, Scale
from cxrlens.progress import SILENT, Progress
from cxrlens.report import figures
from cxrlens.report.model_card import model_card
from cxrlens.run_folder import SCHEMA_VERSION, RunFolder
from cxrlens.study import folder_name
from cxrlens.train.checkpoint import load_checkpoint, save_checkpoint
from cxrlens.train.device import Device, choose_device
from cxrlens.train.distil import distilling, pooled_features, standardised
from cxrlens.train.inputs import FixedImages, LabelledImages
from cxrlens.train.loop import Fit, train, training_fault
from cxrlens.train.training_options import cross_entropy

CHECKPOINT, TRAINED = "checkpoint.safetensors", "trained.safetensors"  # of an unfinished and a finished training


@dataclass(frozen=True)
class Pretrained:
    """A finished pretraining.

    Attributes:
        folder: its folder, with `weights.safetensors`, `card.json`, `MODEL_CARD.md`, `results.json`, `history.csv`.
    """

    folder: Path

    @property
    def weights(self) -> Path:
        """The weight file, whose path a study can use as weights."""
        return self.folder / "weights.safetensors"

    @property
    def results(self) -> dict[str, Any]:
        """AUC of each finding and each linear probe, with intervals."""
        return RunFolder(self.folder).read_json("results.json")


@checked
def pretrain(
    study: PretrainStudy | str | Path,
    data: str | Path | None = None,
    *,
    out: str | Path | None = None,
    device: str = "auto",
    progress: Progress = SILENT,
    study_dir: str | Path | None = None,
) -> Pretrained:
    """Runs a pretraining, or continues an interrupted one.

    Args:
        study: the pretraining, or its file, which is kept as it is.
        data: folder that holds the folders of the data sets; None if they need none.
        out: folder of the result, `runs/NAME` by default; an interrupted pretraining in it is continued.
        device: "auto", "cpu" or "cuda" (in bfloat16).
        progress: display of the work in progress.
        study_dir: folder that relative weight paths start from; the pretraining file's by default.

    Raises:
        UserError: anything that the user can correct.
        KeyboardInterrupt: Ctrl-C; the same call continues from there.
    """
    file = None if isinstance(study, PretrainStudy) else Path(study)
    name = folder_name(study.name) if isinstance(study, PretrainStudy) else Path(study).stem
    run = RunFolder(Path(out) if out is not None else Path("runs") / name)
    study = study if isinstance(study, PretrainStudy) else PretrainStudy.load(study)
    data_dir, study_dir = (
        Path(data) if data is not None else None,
        Path(study_dir) if study_dir is not None else file and file.parent,
    )
    text = file.read_text(encoding="utf-8-sig") if file else None
    chosen = choose_device(device)
    with run.locked("pretraining"):
        _keep_study(run, study, text)
        watch = Stopwatch(earlier_stages(run))
        if fault := training_fault(_classifier(study.backbone, study, study_dir), min(2, study.training.batch)):
            raise UserError(f"{study.name}: {fault}")
        with watch.stage("images"):
            images = gather(study, data_dir, progress)
            run.write_table(run.path / "labels.csv", images.table)
        try:
            identity = _identity(study, images, study_dir)
            with watch.stage("train"):
                untrained = _classifier(study.backbone, study, study_dir)
                trained = _fit(study, images, run, identity, chosen, study_dir, progress)
            with watch.stage("evaluate"):
                evaluate_pretraining(run, study, images, untrained, trained, identity, chosen, progress)
        finally:
            write_environment(run, images.digest, len(images.table), chosen, watch, data, study_dir)
    return Pretrained(run.path)


def _keep_study(run: RunFolder, study: PretrainStudy, text: str | None) -> None:
    begun = run.study.exists() and any((run.path / name).exists() for name in (CHECKPOINT, TRAINED))
    if begun and _training_options(PretrainStudy.load(run.study)) != _training_options(study):
        raise UserError(
            f"{run.path} holds another pretraining ({run.study}); choose another --out, or delete that folder"
        )
    write_text(run.study, text or study.to_toml())


def _training_options(study: PretrainStudy) -> dict[str, Any]:
    """The options that the trained weights depend on."""
    options = study.model_dump(mode="json", exclude={"card", "evaluation", "precision"})
    return options | {"data": [data_set for data_set in options["data"] if not data_set["probe_only"]]}


def _classifier(options: BackboneOptions, study: PretrainStudy, study_dir: Path | None) -> Classifier:
    preprocessing = options.preprocessing
    row = ModelOptions(
        name=options.name,
        backbone=options.name,
        weights=options.weights,
        head="linear",
        preprocessing="weights" if isinstance(preprocessing, Scale) else preprocessing,
    )
    model = build_classifier(row, study.images.size, study.seed, study_dir)
    if isinstance(preprocessing, Scale):
        model.set_preprocessing(Preprocessing((preprocessing.mean,) * 3, (preprocessing.std,) * 3))
    return model


def _fit(
    study: PretrainStudy,
    images: PretrainData,
    run: RunFolder,
    identity: str,
    device: Device,
    study_dir: Path | None,
    progress: Progress,
) -> Classifier:
    """The trained network, read from `trained.safetensors` if the training is finished."""
    model = _classifier(study.backbone, study, study_dir)
    data, validation = images.labelled("train"), images.labelled("validation")
    loss, outputs = cross_entropy, len(images.findings)
    trained_file = run.path / TRAINED
    trained = load_checkpoint(trained_file, identity)
    if study.teacher and not trained:
        teacher = _classifier(study.teacher, study, study_dir)
        flips, size = study.augment.horizontal_flip, teacher.weights.size
        features = standardised(pooled_features(teacher, data, device, progress, flips, size))
        data = LabelledImages(data.cache, data.images, np.concatenate([data.labels, features], axis=1))
        loss, outputs = distilling(len(images.findings), study.teacher.weight), data.labels.shape[1]
    elif outputs == 1:  # the labels of a single logit are [n], not [n, 1]
        data, validation = (replace(part, labels=part.labels[:, 0].copy()) for part in (data, validation))
    with seeded(study.seed):
        model.head = pooled_head(model.backbone.channels, len(images.findings) if trained else outputs)
    if trained:
        model.load_state_dict(trained[0])
        return device.place(model).eval()
    fit = Fit(
        model, data, validation, study.training, study.augment, study.seed, 0, device,
        run.path / CHECKPOINT, identity, study.name, loss,
    )  # fmt: skip
    history = train(fit, progress)
    run.write_table(run.path / "history.csv", history)
    _drop_teacher(model, len(images.findings))
    save_checkpoint(trained_file, identity, model.state_dict(), {})
    (run.path / CHECKPOINT).unlink(missing_ok=True)
    return model


def _drop_teacher(model: Classifier, findings: int) -> None:
    """Keeps the outputs of the head that predict findings, and drops those that predict the teacher's features."""
    trained_head: Any = model.head
    head = pooled_head(model.backbone.channels, findings)
    head.load_state_dict({name: values[:findings] for name, values in trained_head.state_dict().items()})
    model.head = head.to(next(trained_head.parameters()).device)


def _identity(study: PretrainStudy, images: PretrainData, study_dir: Path | None) -> str:
    """SHA-256 of what the bits of the weights depend on."""
    networks = [study.backbone, *([study.teacher] if study.teacher else [])]
    files = [find_weights(network.weights, network.name, study_dir) for network in networks]
    inputs = {
        "version": __version__,
        "study": _training_options(study),
        "weights": [hashlib.sha256(file.read_bytes()).hexdigest() if file else None for file in files],
        "images": images.digest,
    }
    return hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()


# The evaluation of a finished training: AUC of each finding, linear probes before and after, weights and model card.


def evaluate_pretraining(
    run: RunFolder,
    study: PretrainStudy,
    images: PretrainData,
    untrained: Classifier,
    trained: Classifier,
    identity: str,
    device: Device,
    progress: Progress,
) -> dict[str, Any]:
    """Writes predictions, `results.json`, `weights.safetensors`, `card.json`, `MODEL_CARD.md`; returns the results.

    Args:
        run: folder of the pretraining.
        study: the pretraining's options.
        images: the images of the pretraining.
        untrained: the network before training.
        trained: the network after training.
        identity: digest of what the training depends on.
        device: device on which the networks run.
        progress: display of the work in progress.
    """
    rows, data = images.subset("validation"), images.labelled("validation")
    logits = FixedImages(trained, data, device).logits().reshape(len(rows), -1)
    logit_columns = pd.DataFrame(logits, columns=pd.Index([f"logit {name}" for name in images.findings]))
    run.write_table(
        run.path / "predictions.csv", pd.concat([rows.drop(columns=["sha256", "depth"]), logit_columns], axis=1)
    )
    options = study.evaluation
    patients = rows["patient"].tolist()
    findings = [
        finding_auc(name, data.labels[:, column], logits[:, column], patients, None, options.level)
        for column, name in enumerate(images.findings)
    ]
    probe_rows, probe_images = images.subset("validation", "probe"), images.labelled("validation", "probe")
    before, after = (
        probes(study, probe_rows, pooled_features(network, probe_images, device, progress))
        for network in (untrained, trained)
    )
    card = write_weights(
        run.path / "weights.safetensors",
        trained.backbone,
        WeightCard(
            name=study.name,
            architecture=trained.backbone.architecture,
            title=study.card.title
            or f"{study.backbone.name} pretrained on {', '.join(data_set.name for data_set in study.data)}",
            preprocessing=trained.preprocessing,
            size=study.images.size,
            licence=study.card.licence,
            source="made by `cxrlens pretrain`",
            input=f"grey as RGB, {study.images.size} x {study.images.size}",
            citation=study.card.citation,
            format="cxrlens_card",
        ),
        study.precision == "half",
    )
    results = {
        "schema_version": SCHEMA_VERSION,
        "name": study.name,
        "cxrlens": __version__,
        "identity": identity,
        "started_from": untrained.weights.title,
        "sets": _counts(images),
        "findings": plain(findings),
        "probes": [
            {"probe": first.finding, "before": plain(first), "after": plain(second)}
            for first, second in zip(before, after, strict=True)
        ],
        "notice": "For research only; never for diagnosis.",
    }
    run.write_json("results.json", results)
    run.write_json("card.json", {name: value for name, value in asdict(card).items() if value not in (None, "", ())})
    write_text(run.path / "MODEL_CARD.md", model_card(study, card, results))
    history = run.read_table(run.path / "history.csv")
    figures.save(figures.training_curves_figure({study.name: history}), run.path / "figures" / "training.png")
    return results


def probes(study: PretrainStudy, rows: pd.DataFrame, features: np.ndarray) -> list[FindingAuc]:
    """Linear probes on patients outside the training set: each finding of each data set, the view, and the data set.

    Args:
        study: the pretraining's options.
        rows: rows of the images, with the columns of `PretrainData.table`.
        features: pooled features of these images, [n, channels].
    """
    results = []
    options = study.evaluation
    targets: dict[str, pd.Series] = {}
    held_out = rows["side"] == "validation"
    for name in rows["set"].unique():
        in_set = rows["set"] == name
        title = name if held_out[in_set].all() else f"{name} (probed only)"
        for finding in study.probed:
            targets[f"{finding}, {title}"] = rows[finding].where(in_set)
        frontal = (rows["view"] == "AP").astype(float).where(rows["view"].isin(["AP", "PA"]) & in_set)
        targets[f"view AP or PA, {title}"] = frontal
    for name in list(rows["set"][held_out].unique())[1:]:
        targets[f"source is {name}"] = (rows["set"] == name).astype(float).where(held_out)
    for title, target in targets.items():
        labels = target.to_numpy(float)
        if min((labels == 1).sum(), (labels == 0).sum()) >= 10:  # fewer images give no useful AUC
            results.append(
                linear_probe(title, features, labels, rows["patient"].tolist(), seed=options.seed, level=options.level)
            )
    return results


def _counts(images: PretrainData) -> list[dict[str, Any]]:
    return [
        {
            "set": name,
            **{
                side: {
                    "images": int((rows["side"] == side).sum()),
                    "patients": int(rows["patient"][rows["side"] == side].nunique()),
                }
                for side in ("train", "validation", "probe")
            },
            "missing": sum(image.startswith(f"{name}/") for image in images.missing),
        }
        for name, rows in images.table.groupby("set", sort=False)
    ]
