"""`unit.json`: what a trained network says of itself, what it was given and what its weights were made for."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from cxrlens.errors import UserError
from cxrlens.models.classifier import Classifier, count_parameters
from cxrlens.models.weights.store import LoadedWeights
from cxrlens.run_folder import NetworkFolder
from cxrlens.study import ModelRow

# What of it `results.json` repeats for every model.
TOLD = ("parameters", "trainable_parameters", "weights", "preprocessing", "size", "overridden", "instead_of")


def network_record(row: ModelRow, model: Classifier, known: str) -> dict[str, Any]:
    """The record of a network.

    Args:
        row: of the study.
        model: trained.
        known: its identity.
    """
    parameters, trainable = count_parameters(model)
    return {
        "identity": known,
        "parameters": parameters,
        "trainable_parameters": trainable,
        "size": model.size,
        "preprocessing": asdict(model.preprocessing),
        "overridden": overridden(model),
        "instead_of": row.instead_of,
        "weights": _weights(model.weights),
        "training": row.model_dump(mode="json"),
    }


def overridden(model: Classifier) -> list[str]:
    """Which of "preprocessing" and "size" are not those that the network's weights were trained with."""
    weights = model.weights
    if weights.sha256 is None:  # random weights were made for nothing
        return []
    other = {
        "preprocessing": model.preprocessing != weights.preprocessing,
        "size": weights.size not in (None, model.size),
    }
    return [name for name, differs in other.items() if differs]


def _weights(weights: LoadedWeights) -> dict[str, Any]:
    """As their card says, and as the study asked for them."""
    return {
        "name": weights.name,
        "asked": weights.asked,
        "title": weights.title,
        "sha256": weights.sha256,
        "size": weights.size,
        "preprocessing": asdict(weights.preprocessing),
        "input": weights.input,
    }


def read_record(unit: NetworkFolder) -> dict[str, Any]:
    """What a finished network says of itself.

    Raises:
        UserError: the file is damaged.
    """
    try:
        return json.loads(unit.record.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{unit.record} is damaged ({error}); delete {unit.folder} to train it again") from error
