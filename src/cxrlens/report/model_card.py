"""The model card of pretrained weights, in Markdown (Mitchell et al. 2019, arXiv:1810.03993)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cxrlens.models.weights.cards import WeightCard
from cxrlens.pretrain_study import PretrainStudy
from cxrlens.report.results_text import estimate
from cxrlens.report.tables import markdown_table
from cxrlens.text import many


def model_card(study: PretrainStudy, card: WeightCard, results: Mapping[str, Any]) -> str:
    """What the weights are, what they learned from, how well, and what they are not good for.

    Args:
        study: the pretraining.
        card: of the weights.
        results: its `results.json`.
    """
    findings = [_row(each) for each in results["findings"]]
    probes = [[*_row(each["after"])[:2], _row(each["before"])[2], _row(each["after"])[2]] for each in results["probes"]]
    parts = [
        f"# {card.name}",
        f"{card.title}. For research only; never for diagnosis.",
        markdown_table(["what", "is"], _facts(study, card, results), words=True, markup=True),
        "## Data",
        "\n".join(f"- {line}" for line in study.card.data) or "See the pretraining file.",
        markdown_table(
            ["set", "training images (patients)", "held-out images (patients)", "only probed", "unreadable"],
            _sets(results),
        ),
        "Patients are apart. A label that a set does not know is masked, not taken as absent."
        + (" Of a set that is only probed nothing was learned." if any(each.probe_only for each in study.data) else ""),
        "## Held-out patients: AUC of each finding",
        markdown_table(["finding", "with / without", "AUC [interval by patients]"], findings),
        "## Patients not learned from: linear probes of the frozen features",
        "Logistic regression on the pooled last feature map, each image scored by a model that has not seen its "
        "patient, before the training (the weights it started from) and after. A source that can be read off is a "
        "shortcut that a classifier on these features may take.",
        markdown_table(["probe", "with / without", "before", "after"], probes),
        "## Limits",
        "\n".join(f"- {line}" for line in study.card.limits) or "Not stated.",
    ]
    if card.citation:
        parts += ["## Sources", card.citation]
    return "\n\n".join(parts) + "\n"


def _facts(study: PretrainStudy, card: WeightCard, results: Mapping[str, Any]) -> list[list[str]]:
    training, teacher = study.training, study.teacher
    steps = (
        f"{many(training.epochs, 'epoch')}, batch {training.batch}, AdamW, learning rate {training.learning_rate:g} "
        f"({training.schedule.replace('_', ' ')}), weight decay {training.weight_decay:g}, seed {study.seed}"
    )
    facts = {
        "architecture": f"`{card.architecture}` (timm's names), without its top",
        "start": results["started_from"],
        "input": f"{card.input}; (x − {_once(card.preprocessing.mean)}) / {_once(card.preprocessing.std)} "
        "of x in [0, 1]",
        "training": steps,
        "teacher": f"{teacher.name} ({teacher.weights}): its pooled features are learned too" if teacher else "",
        "augmentation": _augmentation(study),
        "licence": card.licence,
        "made by": f"cxrlens {results['cxrlens']}, `cxrlens pretrain`; {study.precision} precision",
    }
    return [[name, told] for name, told in facts.items() if told]


def _sets(results: Mapping[str, Any]) -> list[list[str]]:
    def counted(side: Mapping[str, int]) -> str:
        return f"{side['images']:,} ({side['patients']:,})" if side["images"] else "none"

    sides = ("train", "validation", "probe")
    return [[s["set"], *(counted(s[side]) for side in sides), str(s["missing"])] for s in results["sets"]]


def _row(each: Mapping[str, Any]) -> list[str]:
    counts = f"{each['n_positive']} / {each['n_negative']}"
    if each["auc"] is None:
        return [each["finding"], counts, "too few"]
    told = {"auc": each["auc"], "auc_low": each["low"], "auc_high": each["high"], "rough": each.get("rough")}
    return [each["finding"], counts, estimate(told)]


def _once(values: Sequence[float]) -> str:
    shown = [f"{value:.4g}" for value in values]
    return shown[0] if len(set(shown)) == 1 else f"({', '.join(shown)})"


def _augmentation(study: PretrainStudy) -> str:
    told = study.augment.model_dump(mode="json", exclude_defaults=True)
    words = (name.replace("_", " ") + ("" if value is True else f" {value}") for name, value in told.items())
    return ", ".join(words) or "none"
