"""Last stage of a pretraining: AUC a finding, linear probes before and after, the weights and what is said of them."""

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
    started: Classifier,
    trained: Classifier,
    identity: str,
    device: Device,
    progress: Progress,
) -> dict[str, Any]:
    """Writes predictions, `results.json`, `weights.safetensors`, `card.json`, `MODEL_CARD.md`; returns the results.

    Args:
        run: the folder.
        study: what was asked.
        images: what it learned from.
        started: the network before training.
        trained: and after.
        identity: of the training.
        device: where.
        progress: where work is shown.
    """
    rows, data = images.side("validation"), images.labelled("validation")
    logits = FixedImages(trained, data, device).logits().reshape(len(rows), -1)
    named = pd.DataFrame(logits, columns=pd.Index([f"logit {name}" for name in images.findings]))
    run.write_table(run.path / "predictions.csv", pd.concat([rows.drop(columns=["sha256", "depth"]), named], axis=1))
    options = study.evaluation
    patients = rows["patient"].tolist()
    findings = [
        finding_auc(name, data.labels[:, place], logits[:, place], patients, None, options.level)
        for place, name in enumerate(images.findings)
    ]
    asked = images.side("validation", "probe"), images.labelled("validation", "probe")
    before, after = (
        probes(study, asked[0], pooled_features(network, asked[1], device, progress)) for network in (started, trained)
    )
    card = write_weights(
        run.path / "weights.safetensors",
        trained.backbone,
        WeightCard(
            name=study.name,
            architecture=trained.backbone.architecture,
            title=study.card.title
            or f"{study.backbone.name} pretrained on {', '.join(each.name for each in study.data)}",
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
        "started_from": started.weights.title,
        "sets": _counts(images),
        "findings": plain(findings),
        "probes": [
            {"probe": one.finding, "before": plain(one), "after": plain(other)}
            for one, other in zip(before, after, strict=True)
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
    """Linear probes on patients not learned from: each finding of each set, the view, and the set itself."""
    found = []
    options = study.evaluation
    targets: dict[str, pd.Series] = {}
    held_out = rows["side"] == "validation"
    for name in rows["set"].unique():
        inside = rows["set"] == name
        title = name if held_out[inside].all() else f"{name} (probed only)"
        for finding in study.probed:
            targets[f"{finding}, {title}"] = rows[finding].where(inside)
        frontal = (rows["view"] == "AP").astype(float).where(rows["view"].isin(["AP", "PA"]) & inside)
        targets[f"view AP or PA, {title}"] = frontal
    for name in list(rows["set"][held_out].unique())[1:]:
        targets[f"source is {name}"] = (rows["set"] == name).astype(float).where(held_out)
    for title, target in targets.items():
        labels = target.to_numpy(float)
        if min((labels == 1).sum(), (labels == 0).sum()) >= 10:  # fewer say nothing
            found.append(
                linear_probe(title, features, labels, rows["patient"].tolist(), seed=options.seed, level=options.level)
            )
    return found


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
