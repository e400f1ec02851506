"""The results of a run as text: estimates with intervals, the confidence level, counts of images and patients."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cxrlens.errors import UserError
from cxrlens.evaluate.records import Evaluation
from cxrlens.text import interval, number

# Why an image of an external set is not evaluated. It is counted once, under the first reason that applies.
EXCLUSIONS = {
    "unreadable": "that cannot be read",
    "same_file": "identical to a file of the run",
    "near_duplicate": "of the same exposure as an image of the run",
    "same_patient": "of a patient of the run",
    "unlabelled": "without a label",
}


def as_results(results: Mapping[str, Any] | Evaluation) -> dict[str, Any]:
    """The results as plain values.

    Args:
        results: an evaluation, or the content of `results.json`.

    Raises:
        UserError: the results hold no model.
    """
    plain = results.to_json() if isinstance(results, Evaluation) else dict(results)
    if not plain.get("models"):
        raise UserError("a figure needs the results of at least one model; got none")
    return plain


def estimate(row: Mapping[str, Any], name: str = "auc", digits: int = 3) -> str:
    """A value with its interval, as text. A dash replaces a missing interval, and “rough” marks one from 5 to 9
    patients.

    Args:
        row: a record with the value, and its interval under the same name with `_low` and `_high`.
        name: key of the value.
        digits: number of decimals of the value.

    >>> estimate({"auc": 0.8163, "auc_low": 0.53, "auc_high": 0.79, "rough": True})
    '0.816 [0.53, 0.79] rough'
    """
    value, low, high = row.get(name), row.get(f"{name}_low"), row.get(f"{name}_high")
    if value is None:
        return "–"
    rough = " rough" if row.get("rough") and name == "auc" and low is not None else ""
    return f"{number(value, digits)} {interval(low, high)}{rough}"


def percent(results: Mapping[str, Any]) -> str:
    """The confidence level of the intervals as text, such as "95%"."""
    return f"{100 * results.get('evaluation', {}).get('level', 0.95):g}%"


def counts(results: Mapping[str, Any]) -> str:
    """The numbers of validation images and patients, as text."""
    first = results["models"][0]
    images = f"{first['positive']} positive and {first['negative']} negative validation images"
    return f"{images} of {first['patients']} patients"


def exclusions_text(counts: Mapping[str, int]) -> str:
    """The numbers of excluded external images with their reasons, as text; "" if none is excluded.

    Args:
        counts: reason (a key of `EXCLUSIONS`) → number of images.

    >>> exclusions_text({"unreadable": 0, "same_file": 44, "same_patient": 151})
    '44 identical to a file of the run, 151 of a patient of the run'
    """
    return ", ".join(f"{count} {EXCLUSIONS.get(reason, reason)}" for reason, count in counts.items() if count)
