"""Predictions of other images by every network of a run, with the columns of `predictions.csv`."""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch

from cxrlens.data.cache import ImageCache
from cxrlens.data.cohort import Cohort
from cxrlens.pipeline.finished import Run
from cxrlens.pipeline.pixels import decoded
from cxrlens.progress import SILENT, Progress
from cxrlens.train.device import Device
from cxrlens.train.inputs import LabelledImages

BATCH = 16


def predict_outside(
    run: Run, cohort: Cohort, table: pd.DataFrame, device: Device, progress: Progress = SILENT
) -> pd.DataFrame:
    """A row a network and image: model, seed, fold, image, patient, label, probability, logit.

    Args:
        run: finished.
        cohort: of the other images.
        table: its rows of those that are to be looked at, each readable and with a label.
        device: where the networks run.
        progress: where work is shown.
    """
    networks = run.predictions[["model", "seed", "fold"]].drop_duplicates()
    caches: dict[int, ImageCache] = {}
    tables = []
    with progress.task("predicting", len(networks) * len(table)) as task:
        for model, seed, fold in networks.itertuples(index=False):
            size = run.size(model, seed=seed, fold=fold)
            if size not in caches:
                caches[size] = decoded(cohort, size, run.study.images.interpolation, progress, run.depth)
            images = LabelledImages(caches[size], tuple(table["image"]), table["label"].to_numpy(np.float32))
            network = device.place(run.model(model, seed=seed, fold=fold))
            found = []
            with torch.inference_mode():
                for start in range(0, len(table), BATCH):
                    rows = range(start, min(start + BATCH, len(table)))
                    with device.autocast():
                        found.append(network(device.put(images.pixels(rows))).double().cpu())
                    task.update(len(tables) * len(table) + rows.stop, network=f"{model} (seed {seed}, fold {fold})")
            logits = torch.cat(found)
            told = {
                "model": model, "seed": seed, "fold": fold, "image": images.images,
                "patient": table["patient"].to_numpy(), "label": images.labels.astype(int),
                "probability": torch.sigmoid(logits).numpy(), "logit": logits.numpy(),
            }  # fmt: skip
            tables.append(pd.DataFrame(told))
    return pd.concat(tables, ignore_index=True)
