"""Methods text ready to paste, with citations: the study file and the results as sentences."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from typing import Any

from cxrlens.errors import UserError
from cxrlens.explain.methods import METHODS
from cxrlens.models.weights.cards import CARDS
from cxrlens.report.page.blocks import Block, Section, Words
from cxrlens.report.report_data import ReportData
from cxrlens.report.results_text import percent
from cxrlens.report.tables import over_trainings
from cxrlens.study import ModelRow, Study
from cxrlens.text import joined, many

COHEN = "Cohen et al. 2020, COVID-19 image data collection, arXiv:2003.11597"
WANG = "Wang et al. 2017, ChestX-ray8, arXiv:1705.02315"
SOURCES = {
    "CovidChestXray": (f"X-rays came from the COVID-19 image data collection ({COHEN})", COHEN),
    "NihChestXray14": (f"X-rays came from ChestX-ray14 ({WANG})", WANG),
    "Phantom": ("Images were synthetic chest radiographs, drawn by the phantom of cxrlens; no patient took part", ""),
}
BENCHMARK = "West, Jha and Tsang 2020, Visualizing Transfer Learning in COVID-19 X-rays"
ADAM, ADAMW = "Kingma and Ba 2014, Adam, arXiv:1412.6980", "Loshchilov and Hutter 2017, AdamW, arXiv:1711.05101"
NADEAU = "Nadeau and Bengio 2003, Machine Learning 52:239-281"
OBUCHOWSKI = "Obuchowski 1997, Biometrics 53:567-578"
HOLM = "Holm 1979, Scandinavian Journal of Statistics 6:65-70"
YOUDEN = "Youden 1950, Cancer 3:32-35"
TORCH = "Paszke et al. 2019, PyTorch, arXiv:1912.01703"
CKA = "Kornblith et al. 2019, Similarity of Neural Network Representations Revisited, arXiv:1905.00414"
SANITY = "Adebayo et al. 2018, Sanity Checks for Saliency Maps, arXiv:1810.03292"


def methods(reading: ReportData) -> Section:
    """Paragraphs and the works that they cite."""
    try:
        study = Study.of(tomllib.loads(reading.study))
    except (UserError, tomllib.TOMLDecodeError):
        said = "The study file is of another version of cxrlens, so it cannot be put into sentences; it stands below."
        return Section("methods", "Methods, ready to paste", [Words([said], "warning")])
    results = reading.results
    rows = {row.name: row for row in study.models}
    kept = [(rows[each["name"]], each) for each in results["models"] if each["name"] in rows]
    paragraphs = [
        f"Data. {_data(study, results['cohort'])}",
        f"Models. {' '.join(_model(row, told) for row, told in kept)}",
        f"Training. {_training(study, [row for row, _ in kept])}",
        f"Statistics. {_statistics(results)}",
        f"Explanation. {_explanation(study, reading)}",
        f"Software. All was done with cxrlens {reading.environment.get('cxrlens', '')} on PyTorch "
        f"{reading.environment.get('packages', {}).get('torch', '')} ({TORCH}).",
    ]
    cited = " ".join(paragraphs)
    blocks: list[Block] = [Words(paragraphs), Words([each for each in _works(study, kept) if each in cited], "list")]
    return Section("methods", "Methods, ready to paste", blocks)


def _data(study: Study, told: Mapping[str, Any]) -> str:
    said, _ = SOURCES.get(type(study.data).__name__, ("X-rays came from the authors' own collection", ""))
    missing = len(told.get("missing", []))
    readable = f" ({missing} listed images could not be read)" if missing else ""
    kind = study.split.kind
    if kind == "patient":
        split = f"{study.split.validation:.0%} were held out for validation, no patient on both sides"
    elif kind == "patient-kfold":
        split = f"each was validated once in {study.split.folds} folds, with each patient within one fold"
    else:
        shared = told.get("validation_images_of_training_patients")
        split = f"{study.split.validation:.0%} were held out image by image, as the paper did"
        split += f": {shared} validation images are of patients who are also in training" if shared else ""
    size = f"{study.images.size} × {study.images.size} pixels"
    if study.images.size == "weights":
        size = "the size that each model's weights were trained at"
    return (
        f"{said}: {told['images']} images of {told['patients']} patients, {told['positive']} positive and "
        f"{told['negative']} negative{readable}. Of these, {split} (seed {study.split.seed}). "
        f"Images were resized to {size} ({study.images.interpolation})."
    )


def _model(row: ModelRow, told: Mapping[str, Any]) -> str:
    weights = told.get("weights") or {}
    start = "started from random weights"
    if weights.get("name") not in (None, "random"):
        card = CARDS.get(weights["name"])
        citation = f" ({card.citation})" if card and card.citation else ""
        start = f"started from {weights['title']}{citation}"
    backbone = row.backbone if row.backbone != "benchmark_cnn" else f"a network of two convolutions ({BENCHMARK})"
    trained = {"all": "all layers were trained", "head": "only its head was trained"}.get(
        str(row.trained), f"its head and {joined(row.trained)} were trained"
    )
    count = f", {told['trainable_parameters']:,} parameters" if told.get("trainable_parameters") else ""
    given = "" if row.preprocessing == "weights" else "; its images were scaled to [0, 1] only"
    return f"“{row.name}”: {backbone}, {start}; {trained}{count}{given}."


def _training(study: Study, rows: list[ModelRow]) -> str:
    groups: dict[str, list[str]] = {}
    for row in rows:
        adam = f"AdamW ({ADAMW}), weight decay {row.weight_decay:g}" if row.weight_decay else f"Adam ({ADAM})"
        steps = "" if row.steps == "pass" else f" of {many(row.steps, 'step')}"
        rate = f"learning rate {row.learning_rate:g} ({row.schedule.replace('_', ' ')})"
        weighed = ", classes weighed alike" if row.class_weights else ""
        plain = "" if row.augment else ", without augmentation"
        told = f"{adam}, {rate}, batch {row.batch}, {many(row.epochs, 'epoch')}{steps}{weighed}{plain}"
        groups.setdefault(told, []).append(f"“{row.name}”")
    each = [f"{joined(names) if len(groups) > 1 else 'Every model'}: {told}." for told, names in groups.items()]
    options = study.augment.model_dump(mode="json", exclude_defaults=True)
    changed = ", ".join(f"{name.replace('_', ' ')} {'' if on is True else on}".strip() for name, on in options.items())
    augment = f"Training images were augmented by {changed}." if changed else "Training images were not augmented."
    seeds = f"Each model was trained with {len(study.seeds)} seed{'s' if len(study.seeds) > 1 else ''}"
    return f"Binary cross-entropy was lowered. {' '.join(each)} {augment} {seeds}; no epoch was chosen by validation."


def _statistics(results: Mapping[str, Any]) -> str:
    again = ""
    if over_trainings(results):
        folds = results.get("evaluation", {}).get("trainings") == "folds"
        again = f" A second interval covers {f'patients and folds ({NADEAU})' if folds else 'patients and trainings'}."
    return (
        f"AUCs have {percent(results)} score intervals with the variance between patients ({OBUCHOWSKI}) and Student's "
        f"t.{again} Models were compared in pairs on the same patients, with Holm's correction "
        f"over all pairs ({HOLM}). Sensitivity and specificity are at the threshold with the largest Youden index on "
        f"training images ({YOUDEN}); calibration is by the slope and intercept of a logistic fit, and Brier's score."
    )


def _explanation(study: Study, reading: ReportData) -> str:
    if reading.explained is None and reading.gallery is None and reading.audited is None:
        return "None was made."
    maps = "; ".join(_cited(name) for name in study.explain.methods)
    said = f"Maps of evidence for the logit: {maps}."
    if reading.audited is not None:
        said += (
            f" Shortcuts were asked for with the audit of cxrlens; maps were checked against randomised networks "
            f"({SANITY}), features compared by CKA ({CKA})."
        )
    return said


def _cited(name: str) -> str:
    """A method with the work that it comes from."""
    method = METHODS[name]
    return f"{method.title} ({method.citation})"


def _works(study: Study, kept: list[tuple[ModelRow, dict[str, Any]]]) -> list[str]:
    cards = [CARDS.get(told["weights"]["name"]) for _, told in kept if told.get("weights")]
    weights = [card.citation for card in cards if card and card.citation]
    source = SOURCES.get(type(study.data).__name__, ("", ""))[1]
    every = [source, BENCHMARK, *weights, ADAM, ADAMW, OBUCHOWSKI, NADEAU, HOLM, YOUDEN, SANITY, CKA, TORCH]
    return [each for each in dict.fromkeys(every) if each]
