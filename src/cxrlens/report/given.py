"""What is said below Table 1: which weights a row got, and what they were given that they were not made for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def given_sentences(results: Mapping[str, Any]) -> list[str]:
    """A sentence a model in another's place, one whose weights are a stand-in or of "auto", one that overrides theirs.

    Args:
        results: `results.json`.
    """
    told = (_place, _taken, _overridden)
    found = (tell(model) for model in results["models"] for tell in told)
    return [sentence for sentence in found if sentence]


def _place(model: Mapping[str, Any]) -> str:
    other = model.get("instead_of")
    return f"{model['name']}: in place of '{other}', whose weights are not on this machine" if other else ""


def _taken(model: Mapping[str, Any]) -> str:
    weights = model.get("weights", {})
    name, asked = weights.get("name"), weights.get("asked")
    if asked in (None, name):
        return ""
    if asked == "auto":
        return f"{model['name']}: 'auto' came to '{name}', the best in reach"
    return f"{model['name']}: '{asked}' is not on this machine; '{name}' stands in"


def _overridden(model: Mapping[str, Any]) -> str:
    changed = model.get("overridden", [])
    if not changed:
        return ""
    weights = model["weights"]
    images = "[0, 1] images" if "preprocessing" in changed else "images"
    at = f" at {weights['size']}" if weights["size"] else ""
    on = f" on {weights['input'] or _formula(weights['preprocessing'])}" if "preprocessing" in changed else ""
    return f"{model['name']}: given {images} at {model['size']}, where its weights were trained{at}{on}"


def _formula(preprocessing: Mapping[str, Any]) -> str:
    mean, std = (", ".join(f"{each:g}" for each in preprocessing[key]) for key in ("mean", "std"))
    return f"(x - [{mean}]) / [{std}]"
