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
    """The model card as Markdown: description, training data, performance and limitations of the weights.

    Args:
        study: pretraining study that made the weights.
        card: weight card of the weights.
        results: content of the `results.json` of the pretraining.
    """
    findings = [_cells(finding) for finding in results["findings"]]
    probes = [
        [*_cells(probe["after"])[:2], _cells(probe["before"])[2], _cells(probe["after"])[2]]
        for probe in results["probes"]
    ]
    probed = any(data.probe_only for data in study.data)
    parts = [
        f"# {card.name}",
        f"{card.title}. For research only; never for diagnosis.",
        markdown_table(["item", "value"], _facts(study, card, results), words=True, markup=True),
        "## Data",
        "\n".join(f"- {line}" for line in study.card.data) or "See the pretraining file.",
        markdown_table(
            ["set", "training images (patients)", "held-out images (patients)", "only for probes", "unreadable"],
            _sets(results),
        ),
        "No patient is in more than one of these columns. A label that a set does not know is masked, not counted as "
        "negative." + (" Images in the column “only for probes” were not used for training." if probed else ""),
        "## Held-out patients: AUC of each finding",
        markdown_table(["finding", "with / without", "AUC [interval by patient]"], findings),
        "## Patients outside the training set: linear probes of the frozen features",
        "Logistic regression on the pooled last feature map. Each image is scored by a regression that was fitted "
        "without its patient, before the training (initial weights) and after it. If the source can be predicted from "
        "the features, a classifier on these features may use it as a shortcut.",
        markdown_table(["probe", "with / without", "before", "after"], probes),
        "## Limitations",
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
        "architecture": f"`{card.architecture}` (name in timm), without its classifier",
        "initial weights": results["started_from"],
        "input": f"{card.input}; (x − {_once(card.preprocessing.mean)}) / {_once(card.preprocessing.std)} "
        "of x in [0, 1]",
        "training": steps,
        "teacher": f"{teacher.name} ({teacher.weights}): its pooled features are a second training target"
        if teacher
        else "",
        "augmentation": _augmentation(study),
        "licence": card.licence,
        "made by": f"cxrlens {results['cxrlens']}, `cxrlens pretrain`; {study.precision} precision",
    }
    return [[name, value] for name, value in facts.items() if value]


def _sets(results: Mapping[str, Any]) -> list[list[str]]:
    def counts(part: Mapping[str, int]) -> str:
        return f"{part['images']:,} ({part['patients']:,})" if part["images"] else "none"

    parts = ("train", "validation", "probe")
    return [[row["set"], *(counts(row[part]) for part in parts), str(row["missing"])] for row in results["sets"]]


def _cells(result: Mapping[str, Any]) -> list[str]:
    counts = f"{result['n_positive']} / {result['n_negative']}"
    if result["auc"] is None:
        return [result["finding"], counts, "too few"]
    ends = {"auc_low": result["low"], "auc_high": result["high"], "rough": result.get("rough")}
    return [result["finding"], counts, estimate({"auc": result["auc"], **ends})]


def _once(values: Sequence[float]) -> str:
    """The values of the channels as text; one value if they are equal."""
    texts = [f"{value:.4g}" for value in values]
    return texts[0] if len(set(texts)) == 1 else f"({', '.join(texts)})"


def _augmentation(study: PretrainStudy) -> str:
    options = study.augment.model_dump(mode="json", exclude_defaults=True)
    texts = (name.replace("_", " ") + ("" if value is True else f" {value}") for name, value in options.items())
    return ", ".join(texts) or "none"
