"""`unit.json`: the record of a trained network: its weights, preprocessing, size and training options."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from cxrlens.errors import UserError
from cxrlens.models.classifier import Classifier, count_parameters
from cxrlens.models.weights.store import LoadedWeights
from cxrlens.run_folder import NetworkFolder
from cxrlens.study import ModelRow

# The keys that `results.json` repeats for every model.
RESULT_KEYS = (
    "parameters", "trainable_parameters", "weights", "preprocessing", "size", "overridden", "instead_of", "views",
)  # fmt: skip


def network_record(row: ModelRow, model: Classifier, identity: str, views: int | None) -> dict[str, Any]:
    """The record of a network.

    Args:
        row: row of the study.
        model: the trained network.
        identity: digest of what the weights depend on, see `network_identity`.
        views: number of drawn views of each training image; None where every step drew its augmentation anew.
    """
    parameters, trainable = count_parameters(model)
    return {
        "identity": identity,
        "parameters": parameters,
        "trainable_parameters": trainable,
        "size": model.size,
        "preprocessing": asdict(model.preprocessing),
        "overridden": overridden(model),
        "instead_of": row.instead_of,
        "views": views,
        "weights": _weights(model.weights),
        "training": row.model_dump(mode="json"),
    }


def overridden(model: Classifier) -> list[str]:
    """Which of "preprocessing" and "size" differ from those that the pretrained weights were trained with."""
    weights = model.weights
    if weights.sha256 is None:  # random weights have no preprocessing of their own
        return []
    differences = {
        "preprocessing": model.preprocessing != weights.preprocessing,
        "size": weights.size not in (None, model.size),
    }
    return [name for name, differs in differences.items() if differs]


def _weights(weights: LoadedWeights) -> dict[str, Any]:
    """The weights as their card describes them, with the name that the study gives."""
    return {
        "name": weights.name,
        "asked": weights.requested,
        "title": weights.title,
        "sha256": weights.sha256,
        "size": weights.size,
        "preprocessing": asdict(weights.preprocessing),
        "input": weights.input,
    }


def read_record(unit: NetworkFolder) -> dict[str, Any]:
    """Reads the record of a finished network.

    Raises:
        UserError: the file is damaged.
    """
    try:
        return json.loads(unit.record.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{unit.record} is damaged ({error}); delete {unit.folder} to train it again") from error
