"""Whether a method's maps of a network can be trusted as evidence of what the network uses, with the reasons."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from cxrlens.audit.base import AuditResult, Verdict, refused
from cxrlens.audit.case import ModelCase
from cxrlens.audit.maps.enrichment import Enrichment, lung_enrichment
from cxrlens.audit.maps.faithfulness import Faithfulness, Kind, RandomOrder, faithfulness, random_order
from cxrlens.audit.maps.sanity import DECIDES, Sanity, sanity
from cxrlens.audit.maps.similarity import Agreement
from cxrlens.data.seeds import generator
from cxrlens.evaluate.cluster_means import MeanEstimate
from cxrlens.explain.attribute import attribute
from cxrlens.explain.methods import METHODS

TITLES = {"deletion": "Deletion", "insertion": "Insertion", "road": "ROAD"}


@dataclass(frozen=True)
class MapVerdict:
    """The verdict on the maps of one method.

    Attributes:
        trusted: whether the maps can be trusted; None where the evidence is not sufficient either way.
        reasons: one sentence for each criterion and each reported number.
    """

    trusted: bool | None
    reasons: tuple[str, ...]


def map_verdict(
    sanity: Sanity | None,
    faithfulness: Sequence[Faithfulness],
    enrichment: Enrichment | None = None,
    repeatability: Agreement | None = None,
    reproducibility: Agreement | None = None,
) -> MapVerdict:
    """The verdict on one method's maps of one model.

    The maps are trusted if the sanity check passes, the map's order is better than a random order by at least one of
    deletion, insertion and ROAD, and is worse by none. They are not trusted if the sanity check fails or the order is
    worse by one of them. Else the verdict is undecided. Agreement between networks and lung enrichment are reported but
    do not decide: networks may really differ, and a faithful map of a shortcut lies outside the lungs.

    Args:
        sanity: result of the sanity check; None where it was not run.
        faithfulness: results of deletion, insertion and ROAD, as far as they were run.
        enrichment: lung enrichment; None where the lungs are unknown.
        repeatability: agreement of the maps over seeds; None with a single seed.
        reproducibility: agreement of the maps over models; None with a single model.
    """
    passes = sanity.passes if sanity else None
    better = any(result.better for result in faithfulness)
    worse = any(result.worse for result in faithfulness)
    trusted = False if passes is False or worse else True if passes and better else None
    reasons = [_sanity_reason(sanity), *(_order_reason(result) for result in faithfulness)]
    if not faithfulness:
        reasons.append("Undecided: deletion, insertion and ROAD were not run.")
    if repeatability is not None:
        reasons.append(_agreement_reason("Repeatability", "seeds", repeatability))
    if reproducibility is not None:
        reasons.append(_agreement_reason("Reproducibility", "models", reproducibility))
    if enrichment is not None:
        reasons.append(_enrichment_reason(enrichment))
    return MapVerdict(trusted, tuple(reasons))


def _sanity_reason(result: Sanity | None) -> str:
    if result is None:
        return "Undecided: it was not checked whether the maps depend on what the network learned."
    verdict = {True: "Passed", False: "Failed", None: "Undecided"}[result.passes]
    last = result.depths[-1]
    return (
        f"{verdict}: with all weights random, the rank correlation of the maps with the original maps is "
        f"{last.similarity[DECIDES].mean:.2f} over {last.networks} random networks, and that of random pairs is "
        f"{last.random_pairs[DECIDES].mean:.2f}. The excess is {_interval(result.full)}, with the upper half random "
        f"{_interval(result.half)}; up to {result.margin:g} counts as no excess."
    )


def _order_reason(result: Faithfulness) -> str:
    title = TITLES[result.kind]
    if result.difference.images == 0:
        return f"Undecided: no map has any evidence, so {title} cannot be measured."
    if result.better:
        comparison = f"Passed: by {title}, the map's order is better than a random one"
    elif result.worse:
        comparison = f"Failed: by {title}, the map's order is worse than a random one"
    else:
        comparison = f"Undecided: by {title}, the map's order does not differ clearly from a random one"
    return (
        f"{comparison}. The areas are {result.area.mean:.3g} and {result.random_area.mean:.3g}; the map is better by "
        f"{_interval(result.difference)} in units of the logit."
    )


def _agreement_reason(name: str, unit: str, result: Agreement) -> str:
    return (
        f"{name} over {result.networks} {unit} (no criterion): maps of the same image agree by "
        f"{_interval(result.same_image)} ({result.measure.replace('_', ', ')}), maps of different images by "
        f"{_interval(result.other_image)}."
    )


def _enrichment_reason(result: Enrichment) -> str:
    baselines = "; ".join(f"{baseline.baseline} {baseline.mean:.2f}" for baseline in result.baselines)
    return (
        f"Lung enrichment (no criterion: a faithful map of a shortcut lies outside the lungs): "
        f"{_interval(result.enrichment)}, where 1 is the lungs' share by area; baselines: {baselines}."
    )


def _interval(estimate: MeanEstimate) -> str:
    return f"{estimate.mean:.3g} [{estimate.low:.3g}, {estimate.high:.3g}]"


# Evaluation of one method's maps of one network by every criterion, and the audit results of it.

KINDS: tuple[Kind, ...] = ("deletion", "insertion", "road")
NETWORKS = 8  # randomised networks; with fewer, sound methods would sometimes fail
COMMON = 56  # side in pixels at which maps of different networks are compared
TRUST_LIMITS = (
    "a trusted map shows what changes this network's score, whether that is right or wrong; it does not show whether "
    "the score is right"
)
LUNG_LIMITS = (
    "shows where the map's evidence lies, not whether the map can be trusted; boxes include the heart and the spine, "
    "and a shortcut may lie over the lungs"
)


@dataclass(frozen=True, eq=False)
class MapEvaluation:
    """Evaluation of one method's maps of one network.

    Attributes:
        method: name of the method in `METHODS`.
        title: name of the method in the literature.
        sanity: comparison with randomised networks.
        order: results of deletion, insertion and ROAD.
        lungs: lung enrichment; None for the `reason` given.
        reason: why there is no lung enrichment, else "".
        maps: signed maps of the sampled images at the common size, float32 [n, 56, 56].
    """

    method: str
    title: str
    sanity: Sanity
    order: tuple[Faithfulness, ...]
    lungs: Enrichment | None
    reason: str
    maps: np.ndarray

    def verdict(self, repeatability: Agreement | None, reproducibility: Agreement | None) -> MapVerdict:
        """The verdict on the maps, see `map_verdict`."""
        return map_verdict(self.sanity, self.order, self.lungs, repeatability, reproducibility)


def random_orders(case: ModelCase, rows: np.ndarray, steps: int, seed: int) -> list[RandomOrder]:
    """Curves of every kind in a random order, which are computed once for all methods.

    Args:
        case: network and its validation images.
        rows: positions of the images, int [n].
        steps: number of steps of deletion, insertion and ROAD.
        seed: seed of the orders.
    """
    images = case.pixels[torch.from_numpy(rows)][:, 0].numpy()
    return [random_order(kind, images, case.predict, generator(seed, 5), steps=steps, baseline=0.0) for kind in KINDS]


def evaluate_maps(
    case: ModelCase, method: str, rows: np.ndarray, random: Sequence[RandomOrder], seed: int
) -> MapEvaluation:
    """Evaluates one method's maps of one network.

    Args:
        case: network and its validation images.
        method: name of the method in `METHODS`.
        rows: positions of the images for sanity check and curves, int [n]; lung enrichment uses all images with known
            lungs.
        random: curves of the same images in a random order, see `random_orders`.
        seed: seed of all random numbers.
    """
    pixels, patients, level = case.pixels[torch.from_numpy(rows)], case.patients[rows], case.intervals.level
    on_device = case.device.put(pixels)
    attribution = attribute(case.model, on_device, method)
    curve_level = 1 - (1 - level) / len(KINDS)  # Bonferroni: a single better or worse kind of curve decides
    checked = sanity(case.model, on_device, patients, method, generator(seed, 1), networks=NETWORKS, level=level)
    evidence, images = attribution.enlarged().numpy(), pixels[:, 0].numpy()
    # A magnitude shows that a place matters, but not for which class: the score is then that of the predicted class.
    signs = np.where(case.logits[rows] < 0, -1.0, 1.0) if attribution.displayed == "magnitude" else None
    order = tuple(
        faithfulness(curves, evidence, images, patients, case.predict, generator(seed, 2), signs, curve_level)
        for curves in random
    )
    lungs, reason = _enrichment(case, method, seed)
    return MapEvaluation(method, METHODS[method].title, checked, order, lungs, reason, common(attribution.maps))


def trust_result(evaluation: MapEvaluation, verdict: MapVerdict, model: str) -> AuditResult:
    """The verdict on a method's maps as an audit result.

    Args:
        evaluation: evaluation of the maps.
        verdict: verdict on them.
        model: name of the model.
    """
    excess = evaluation.sanity.full
    result: Verdict = "undecided" if verdict.trusted is None else "clear" if verdict.trusted else "flag"
    maps = f"{evaluation.title} maps of this network"
    sentence = {
        "clear": f"{maps} can be trusted.",
        "flag": f"{maps} cannot be trusted.",
        "undecided": f"Whether {maps} can be trusted is undecided.",
    }
    return AuditResult(
        "map_trust", model, f"{evaluation.title}: similarity to the maps of a random network",
        excess.mean, excess.low, excess.high, result, TRUST_LIMITS,
        f"rank correlation beyond that of random pairs; up to {evaluation.sanity.margin:g} counts as none",
        sentence[result],
        evidence={"method": evaluation.method, "reasons": list(verdict.reasons), "images": evaluation.sanity.images},
    )  # fmt: skip


def lung_result(evaluation: MapEvaluation, case: ModelCase) -> AuditResult:
    """Lung enrichment as an audit result: "clear" above 1 and every baseline, "flag" below 1, the share by area."""
    statistic, lungs = f"{evaluation.title}: lung enrichment", evaluation.lungs
    if lungs is None:
        return refused("lung_enrichment", case.name, statistic, evaluation.reason, LUNG_LIMITS)
    mean = lungs.enrichment
    verdict: Verdict = "flag" if mean.high < 1 else "undecided"
    if mean.low > 1 and all(baseline.above for baseline in lungs.baselines):
        verdict = "clear"
    baselines = {
        baseline.baseline: {
            "mean": baseline.mean, "difference": baseline.difference.mean, "low": baseline.difference.low,
            "high": baseline.difference.high,
        }
        for baseline in lungs.baselines
    }  # fmt: skip
    best = max(lungs.baselines, key=lambda baseline: baseline.mean)
    return AuditResult(
        "lung_enrichment", case.name, statistic, mean.mean, mean.low, mean.high, verdict, LUNG_LIMITS,
        "1: the lungs get their share by area; a map that marks the lungs is above 1 and above the four baselines",
        f"The lungs cover {lungs.lung_area:.0%} of the image and get {lungs.mass_inside:.0%} of the evidence in the "
        f"{evaluation.title} maps. This is {mean.mean:.2f} [{mean.low:.2f}, {mean.high:.2f}] times the share that "
        f"their "
        f"area predicts (mean over {mean.images} images; the highest baseline, {best.baseline}, has {best.mean:.2f}).",
        p=mean.p,
        evidence={
            "method": evaluation.method, "baselines": baselines, "images": mean.images, "lungs": case.lungs.origin,
            "mass_inside": lungs.mass_inside, "lung_area": lungs.lung_area,
            "without_evidence": lungs.without_evidence, "positive": int((case.labels & case.lungs.known).sum()),
        },
    )  # fmt: skip


def _enrichment(case: ModelCase, method: str, seed: int) -> tuple[Enrichment | None, str]:
    rows = case.lungs.rows
    if len(rows) < 2:
        return None, case.lungs.unknown_reason
    pixels = case.pixels[torch.from_numpy(rows)]
    evidence = attribute(case.model, case.device.put(pixels), method).enlarged().numpy()
    evidence = np.abs(evidence)  # both signs of a signed map are evidence
    masks, patients = case.lungs.masks[rows], case.patients[rows]
    if evidence.any((1, 2)).sum() < 2:
        return None, "no map has any evidence"
    level = case.intervals.level
    return lung_enrichment(evidence, pixels[:, 0].numpy(), masks, patients, generator(seed, 3), level), ""


def common(maps: Tensor) -> np.ndarray:
    """Maps [n, h, w] at the size at which networks are compared, float32 [n, 56, 56]."""
    mode = "area" if maps.shape[1] >= COMMON else "bilinear"
    return torch.nn.functional.interpolate(maps[:, None], (COMMON, COMMON), mode=mode)[:, 0].numpy()
