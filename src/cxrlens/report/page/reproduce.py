"""Reproducibility (versions, hashes, seeds, command, device, timings, study file) and limitations."""

from __future__ import annotations

import shlex
from pathlib import PurePosixPath, PureWindowsPath

from cxrlens.report.page.blocks import Block, Section, Verbatim, Words, table
from cxrlens.report.page.summary import audit_summary
from cxrlens.report.report_data import ReportData


def reproduce(report: ReportData) -> Section:
    """What is needed to get the same numbers again."""
    environment, results = report.environment, report.results
    inputs, device = environment.get("inputs", {}), environment.get("device", {})
    seeds = [str(training["seed"]) for training in results["models"][0].get("seed_aucs", [])]
    facts = {
        "cxrlens": environment.get("cxrlens"),
        "Python": environment.get("python"),
        "platform": environment.get("platform"),
        "device": device.get("title"),
        # The page may be shared, so it does not show the user's folders. `environment.json` has the full paths.
        "command": shlex.join(map(without_folder, environment["command"])) if environment.get("command") else None,
        "images": without_folder(environment["data"]) if environment.get("data") else None,
        "training seeds": ", ".join(seeds),
        "SHA-256 of the study file": inputs.get("study_sha256"),
        "SHA-256 of the images": inputs.get("images_sha256"),
        "readable images": inputs.get("images"),
    }
    rows = [[name, str(value)] for name, value in facts.items() if value not in (None, "")]
    blocks: list[Block] = [table("How this run was made.", (["item", "value"], rows), folded=False)]
    if environment.get("packages"):
        cells = ["package", "version"], [[name, str(value)] for name, value in environment["packages"].items()]
        blocks.append(table("Package versions.", cells, folded=True))
    weights = [
        [model["name"], model["weights"]["title"], model["weights"].get("sha256") or "–"]
        for model in results["models"]
        if model.get("weights")
    ]
    if weights:
        blocks.append(table("Initial weights of the models.", (["model", "weights", "SHA-256"], weights), True))
    if environment.get("stages"):
        rows = [[stage["name"], f"{stage['seconds']:.1f}"] for stage in environment["stages"]]
        rows.append(["all", f"{sum(stage['seconds'] for stage in environment['stages']):.1f}"])
        blocks.append(table("Time per stage, in seconds.", (["stage", "seconds"], rows), folded=True))
    blocks.append(Verbatim("The study file", report.study))
    blocks.append(
        Words(
            [
                "On the CPU, the same study, images, versions and number of threads give the same numbers. Another "
                "processor, another number of threads or a GPU gives different last digits."
            ],
            "soft",
        )
    )
    return Section("reproduce", "Reproducibility", blocks)


def without_folder(argument: str) -> str:
    """An argument of a command; an absolute path is reduced to its last part.

    >>> without_folder("/home/me/xrays"), without_folder("--data=C:/Users/me/xrays"), without_folder("runs/demo")
    ('xrays', '--data=xrays', 'runs/demo')
    """
    option, sign, value = argument.partition("=") if argument.startswith("-") else ("", "", argument)
    for kind in (PurePosixPath, PureWindowsPath):
        if kind(value).is_absolute():
            return option + sign + (kind(value).name or value)
    return argument


FEW = 200  # validation images; with fewer, the interval of an AUC is wide


def limits(report: ReportData) -> Section:
    """The limitations of this run, then those of every report."""
    results, first = report.results, report.results["models"][0]
    specific = []
    if first["images"] < FEW:
        specific.append(
            f"The results rest on {first['images']} validation images of {first['patients']} patients. Intervals are "
            "wide, and small differences cannot be detected."
        )
    if results["cohort"].get("validation_images_of_training_patients"):
        specific.append(
            "Some patients are in both the training and the validation set. The AUCs also measure how well patients "
            "are recognised."
        )
    if first["seeds"] == 1:
        specific.append(
            "Each model was trained with one seed. How much the results vary between trainings was not measured."
        )
    if audit_summary(report.audit) is None:
        specific.append("The run was not audited. A high AUC may come from marks, borders or the type of file.")
    general = [
        "The intervals hold for similar patients. They say nothing about another hospital, scanner or year.",
        "The labels come from the source. Some may be wrong, and the models learn these errors, too.",
        "A map shows where a logit comes from, not whether the reason is right. Its colours are scaled per model and "
        "method, so they can be compared between images, but not between models.",
        "An audit without flags excludes only the shortcuts that it tested for, and only those large enough for it to "
        "detect. Other shortcuts remain possible.",
        "Nothing here was tested in clinical care. It must not be used for decisions about patients.",
    ]
    return Section("limits", "Limitations", [Words([*specific, *general], "list")])
