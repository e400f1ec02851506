"""Whether a method's maps of a model may be read as evidence of what the model uses, and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cxrlens.audit.maps.enrichment import Enrichment
from cxrlens.audit.maps.faithfulness import Faithfulness
from cxrlens.audit.maps.sanity import DECIDES, Sanity
from cxrlens.audit.maps.similarity import Agreement
from cxrlens.evaluate.cluster_means import MeanEstimate

TITLES = {"deletion": "Deletion", "insertion": "Insertion", "road": "ROAD"}


@dataclass(frozen=True)
class MapVerdict:
    """`trusted` is None where the evidence settles it neither way; a sentence for each criterion and each number."""

    trusted: bool | None
    reasons: tuple[str, ...]


def map_verdict(
    sanity: Sanity | None,
    faithfulness: Sequence[Faithfulness],
    enrichment: Enrichment | None = None,
    repeatability: Agreement | None = None,
    reproducibility: Agreement | None = None,
) -> MapVerdict:
    """One method on one model.

    Trusted: the sanity check passes, the map's order beats a random one by at least one of deletion, insertion and
    ROAD, and is worse by none. Not trusted: the sanity check fails, or the order is worse by one. Else undecided.
    Agreement between networks and lung enrichment are told and decide nothing: networks may differ truly, and a
    faithful map of a shortcut lies outside the lungs.

    Args:
        sanity: None where it was not run.
        faithfulness: of whichever kinds were run.
        enrichment: None where no lungs are known.
        repeatability: over seeds; None of a single one.
        reproducibility: over models; None of a single one.
    """
    passes = sanity.passes if sanity else None
    better, worse = (any(getattr(each, name) for each in faithfulness) for name in ("better", "worse"))
    trusted = False if passes is False or worse else True if passes and better else None
    reasons = [_of_sanity(sanity), *(_of_order(each) for each in faithfulness)]
    if not faithfulness:
        reasons.append("Undecided: deletion, insertion and ROAD were not run.")
    for what, over, found in (
        ("Repeatability", "seeds", repeatability),
        ("Reproducibility", "models", reproducibility),
    ):
        if found is not None:
            reasons.append(_of_agreement(what, over, found))
    if enrichment is not None:
        reasons.append(_of_enrichment(enrichment))
    return MapVerdict(trusted, tuple(reasons))


def _of_sanity(found: Sanity | None) -> str:
    if found is None:
        return "Undecided: whether the maps need what the network learned was not checked."
    word = {True: "Passed", False: "Failed", None: "Undecided"}[found.passes]
    last = found.depths[-1]
    return (
        f"{word}: with all weights random, the maps' rank correlation with the original ones is "
        f"{last.similarity[DECIDES].mean:.2f} over {last.networks} random networks, that of random pairs "
        f"{last.random_pairs[DECIDES].mean:.2f}; the excess is {_interval(found.full)}, with the upper half random "
        f"{_interval(found.half)}, and {found.margin:g} is the most that still counts as none."
    )


def _of_order(found: Faithfulness) -> str:
    title = TITLES[found.kind]
    if found.difference.images == 0:
        return f"Undecided: {title} has no map with evidence to go by."
    word, what = ("Passed", "beats") if found.better else ("Failed", "is worse than") if found.worse else ("", "")
    compared = f"{word}: by {title}, the map's order {what} a random one"
    if not word:
        compared = f"Undecided: by {title}, the map's order is not told apart from a random one"
    return (
        f"{compared}; areas {found.area.mean:.3g} and {found.random_area.mean:.3g}, better by "
        f"{_interval(found.difference)} in units of the logit."
    )


def _of_agreement(what: str, over: str, found: Agreement) -> str:
    return (
        f"{what} over {found.networks} {over} (no criterion): maps of the same image agree by "
        f"{_interval(found.same_image)} ({found.measure.replace('_', ', ')}), those of different images by "
        f"{_interval(found.other_image)}."
    )


def _of_enrichment(found: Enrichment) -> str:
    against = "; ".join(f"{each.baseline} {each.mean:.2f}" for each in found.baselines)
    return (
        f"Lung enrichment (no criterion: a faithful map of a shortcut lies outside the lungs): "
        f"{_interval(found.enrichment)}, where 1 is the lungs' share by area; {against}."
    )


def _interval(found: MeanEstimate) -> str:
    return f"{found.mean:.3g} [{found.low:.3g}, {found.high:.3g}]"
