"""Whether a method's maps of a model may be read as evidence of what the model uses, and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from cxrlens.audit.base import AuditResult, Verdict, refused
from cxrlens.audit.case import ModelCase
from cxrlens.audit.maps.enrichment import Enrichment, lung_enrichment
from cxrlens.audit.maps.faithfulness import Chance, Faithfulness, Kind, chance, faithfulness
from cxrlens.audit.maps.sanity import DECIDES, Sanity, sanity
from cxrlens.audit.maps.similarity import Agreement
from cxrlens.data.seeds import generator
from cxrlens.evaluate.cluster_means import MeanEstimate
from cxrlens.explain.attribute import attribute
from cxrlens.explain.methods import METHODS

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


# One method's maps of one network, measured by every criterion, and the findings that follow.

KINDS: tuple[Kind, ...] = ("deletion", "insertion", "road")
NETWORKS = 8  # random ones; fewer would convict sound methods now and then
COMMON = 56  # pixels: the side at which maps of different networks are compared
TRUST_LIMITS = (
    "a map that deserves trust shows what moves this network's score, right or wrong; it says nothing of whether the "
    "score is right"
)
LUNG_LIMITS = (
    "says where the map's evidence lies, not whether the map can be trusted; boxes hold heart and spine too, and a "
    "shortcut may lie over the lungs"
)


@dataclass(frozen=True, eq=False)
class MapEvaluation:
    """What is measured of one method on one network.

    Attributes:
        method: its name.
        title: what the field calls it.
        sanity: against a network that forgot.
        order: deletion, insertion and ROAD against a random order.
        lungs: None where too few images have both evidence and known lungs; `reason` says so.
        reason: likewise.
        maps: signed, of the sampled images, at the common size, float32 [n, 56, 56].
    """

    method: str
    title: str
    sanity: Sanity
    order: tuple[Faithfulness, ...]
    lungs: Enrichment | None
    reason: str
    maps: np.ndarray

    def verdict(self, repeatability: Agreement | None, reproducibility: Agreement | None) -> MapVerdict:
        """Trusted or not, with the reasons."""
        return map_verdict(self.sanity, self.order, self.lungs, repeatability, reproducibility)


def by_chance(case: ModelCase, rows: np.ndarray, steps: int, seed: int) -> list[Chance]:
    """What a random order gives by each kind of curve: once for all methods.

    Args:
        case: the network.
        rows: positions of the images, [n].
        steps: of deletion, insertion and ROAD.
        seed: of the orders.
    """
    images = case.pixels[torch.from_numpy(rows)][:, 0].numpy()
    return [chance(kind, images, case.predict, generator(seed, 5), steps=steps, baseline=0.0) for kind in KINDS]


def evaluate_maps(
    case: ModelCase, method: str, rows: np.ndarray, chances: Sequence[Chance], seed: int
) -> MapEvaluation:
    """Measures a method.

    Args:
        case: the network.
        method: a name in `METHODS`.
        rows: positions of the images for sanity and order, [n]; enrichment takes all whose lungs are known.
        chances: of the same images, by `by_chance`.
        seed: of every random network and draw.
    """
    some, who, judging = case.pixels[torch.from_numpy(rows)], case.patients[rows], case.judging
    given = case.device.put(some)
    found = attribute(case.model, given, method)
    level = judging.level
    one_of = 1 - (1 - level) / len(KINDS)  # one kind that is worse or better decides: Bonferroni over them
    kept = sanity(case.model, given, who, method, generator(seed, 1), networks=NETWORKS, level=level)
    evidence, images = found.enlarged().numpy(), some[:, 0].numpy()
    # A magnitude says that a place matters, not for what: there the score is the one that the network decided for.
    signs = np.where(case.logits[rows] < 0, -1.0, 1.0) if found.displayed == "magnitude" else None
    order = tuple(
        faithfulness(each, evidence, images, who, case.predict, generator(seed, 2), signs, one_of) for each in chances
    )
    lungs, reason = _enrichment(case, method, seed)
    return MapEvaluation(method, METHODS[method].title, kept, order, lungs, reason, common(found.maps))


def trust_result(judged: MapEvaluation, verdict: MapVerdict, case_name: str) -> AuditResult:
    """The method's verdict on the network as a finding."""
    excess = judged.sanity.full
    settled: Verdict = "undecided" if verdict.trusted is None else "clear" if verdict.trusted else "flag"
    word = {"clear": "can be trusted", "flag": "cannot be trusted", "undecided": "can neither be trusted nor dismissed"}
    return AuditResult(
        "map_trust", case_name, f"{judged.title}: likeness of its maps to those of a random network",
        excess.mean, excess.low, excess.high, settled, TRUST_LIMITS,
        f"rank correlation beyond that of random pairs; up to {judged.sanity.margin:g} counts as none",
        f"{judged.title} of this network {word[settled]}.",
        evidence={"method": judged.method, "reasons": list(verdict.reasons), "images": judged.sanity.images},
    )  # fmt: skip


def lung_result(judged: MapEvaluation, case: ModelCase) -> AuditResult:
    """Lung enrichment as a finding: "clear" above every baseline, "flag" below the lungs' share by area."""
    statistic, found = f"{judged.title}: lung enrichment", judged.lungs
    if found is None:
        return refused("lung_enrichment", case.name, statistic, judged.reason, LUNG_LIMITS)
    mean = found.enrichment
    verdict: Verdict = "flag" if mean.high < 1 else "undecided"
    if mean.low > 1 and all(each.above for each in found.baselines):
        verdict = "clear"
    baselines = {
        each.baseline: {
            "mean": each.mean, "difference": each.difference.mean, "low": each.difference.low,
            "high": each.difference.high,
        }
        for each in found.baselines
    }  # fmt: skip
    best = max(found.baselines, key=lambda each: each.mean)
    return AuditResult(
        "lung_enrichment", case.name, statistic, mean.mean, mean.low, mean.high, verdict, LUNG_LIMITS,
        "1: the lungs get their share by area; a map of the lungs lies above 1 and above the four baselines",
        f"The lungs take {found.lung_area:.0%} of the area and {found.mass_inside:.0%} of {judged.title}'s evidence, "
        f"{mean.mean:.2f} [{mean.low:.2f}, {mean.high:.2f}] times their share, on {mean.images} images; the best "
        f"baseline ({best.baseline}) has {best.mean:.2f}.",
        p=mean.p,
        evidence={
            "method": judged.method, "baselines": baselines, "images": mean.images, "lungs": case.lungs.origin,
            "mass_inside": found.mass_inside, "lung_area": found.lung_area,
            "without_evidence": found.without_evidence, "positive": int((case.labels & case.lungs.known).sum()),
        },
    )  # fmt: skip


def _enrichment(case: ModelCase, method: str, seed: int) -> tuple[Enrichment | None, str]:
    rows = case.lungs.rows
    if len(rows) < 2:
        return None, "nobody knows where the lungs are" + "".join(f"; {reason}" for reason in case.lungs.refused)
    pixels = case.pixels[torch.from_numpy(rows)]
    evidence = attribute(case.model, case.device.put(pixels), method).enlarged().numpy()
    evidence = np.abs(evidence)  # of a signed method both signs are evidence
    masks, patients = case.lungs.masks[rows], case.patients[rows]
    if evidence.any((1, 2)).sum() < 2:
        return None, "no map has any evidence"
    judging = case.judging
    return lung_enrichment(evidence, pixels[:, 0].numpy(), masks, patients, generator(seed, 3), judging.level), ""


def common(maps: Tensor) -> np.ndarray:
    """Maps [n, h, w] at the side at which networks are compared, float32 [n, 56, 56]."""
    mode = "area" if maps.shape[1] >= COMMON else "bilinear"
    return torch.nn.functional.interpolate(maps[:, None], (COMMON, COMMON), mode=mode)[:, 0].numpy()
