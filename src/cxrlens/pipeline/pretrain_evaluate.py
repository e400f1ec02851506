"""Last stage of a pretraining: AUC of each finding, linear probes before and after, weights and model card."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd

from cxrlens import __version__
from cxrlens.evaluate.probe import FindingAuc, finding_auc, linear_probe
from cxrlens.evaluate.records import plain
from cxrlens.files import write_text
from cxrlens.models.classifier import Classifier
from cxrlens.models.weights.cards import WeightCard
from cxrlens.models.weights.write import write_weights
from cxrlens.pipeline.pretrain_images import PretrainData
from cxrlens.pretrain_study import PretrainStudy
from cxrlens.progress import Progress
from cxrlens.report import figures
from cxrlens.report.model_card import model_card
from cxrlens.run_folder import SCHEMA_VERSION, RunFolder
from cxrlens.train.device import Device
from cxrlens.train.distil import pooled_features
from cxrlens.train.inputs import FixedImages


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
