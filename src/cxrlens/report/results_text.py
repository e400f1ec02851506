"""What the results of a run say as text: estimates with intervals, the level, the numbers of images and patients."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cxrlens.errors import UserError
from cxrlens.evaluate.records import Evaluation
from cxrlens.text import interval, number


def as_results(results: Mapping[str, Any] | Evaluation) -> dict[str, Any]:
    """The results as plain values.

    Raises:
        UserError: they hold no model.
    """
    plain = results.to_json() if isinstance(results, Evaluation) else dict(results)
    if not plain.get("models"):
        raise UserError("a figure needs the results of at least one model; got none")
    return plain


def estimate(row: Mapping[str, Any], name: str = "auc", digits: int = 3) -> str:
    """A value of a record with its interval; one of 5 to 9 patients is called rough, one of fewer is a dash.

    >>> estimate({"auc": 0.8163, "auc_low": 0.53, "auc_high": 0.79, "rough": True})
    '0.816 [0.53, 0.79] rough'
    """
    value, low, high = row.get(name), row.get(f"{name}_low"), row.get(f"{name}_high")
    if value is None:
        return "–"
    rough = " rough" if row.get("rough") and name == "auc" and low is not None else ""
    return f"{number(value, digits)} {interval(low, high)}{rough}"


def percent(results: Mapping[str, Any]) -> str:
    """The intervals' level as text, such as "95%"."""
    return f"{100 * results.get('evaluation', {}).get('level', 0.95):g}%"


def counts(results: Mapping[str, Any]) -> str:
    """Who was judged, in words."""
    first = results["models"][0]
    said = (f"{first['positive']} positive and {first['negative']} negative validation images", first["patients"])
    return f"{said[0]} of {said[1]} patients"
