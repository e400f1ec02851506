"""Reproducibility: versions, hashes, seeds, command, device, timings, and the study file itself."""

from __future__ import annotations

import shlex
from pathlib import PurePosixPath, PureWindowsPath

from cxrlens.report.page.blocks import Block, Section, Verbatim, Words, table
from cxrlens.report.page.summary import audited_summary
from cxrlens.report.report_data import ReportData


def reproduce(reading: ReportData) -> Section:
    """What is needed to get the same numbers again."""
    told, results = reading.environment, reading.results
    inputs, device = told.get("inputs", {}), told.get("device", {})
    seeds = [str(each["seed"]) for each in results["models"][0].get("seed_aucs", [])]
    facts = {
        "cxrlens": told.get("cxrlens"),
        "Python": told.get("python"),
        "platform": told.get("platform"),
        "device": device.get("title"),
        # The page may go to others: where the user's files lie is no business of theirs; `environment.json` has it.
        "command": shlex.join(map(without_folder, told["command"])) if told.get("command") else None,
        "images": without_folder(told["data"]) if told.get("data") else None,
        "seeds of training": ", ".join(seeds),
        "SHA-256 of the study file": inputs.get("study_sha256"),
        "SHA-256 of the images": inputs.get("images_sha256"),
        "readable images": inputs.get("images"),
    }
    rows = [[name, str(value)] for name, value in facts.items() if value not in (None, "")]
    blocks: list[Block] = [table("How this run was made.", (["what", "is"], rows), folded=False)]
    if told.get("packages"):
        cells = ["package", "version"], [[name, str(value)] for name, value in told["packages"].items()]
        blocks.append(table("Versions.", cells, folded=True))
    weights = [
        [model["name"], model["weights"]["title"], model["weights"].get("sha256") or "–"]
        for model in results["models"]
        if model.get("weights")
    ]
    if weights:
        blocks.append(table("Weights that the models started from.", (["model", "weights", "SHA-256"], weights), True))
    if told.get("stages"):
        rows = [[stage["name"], f"{stage['seconds']:.1f}"] for stage in told["stages"]]
        rows.append(["all", f"{sum(stage['seconds'] for stage in told['stages']):.1f}"])
        blocks.append(table("Timings, in seconds.", (["stage", "seconds"], rows), folded=True))
    blocks.append(Verbatim("The study file", reading.study))
    blocks.append(
        Words(
            ["The same study, images and seeds give the same numbers on the same kind of device and versions."], "soft"
        )
    )
    return Section("reproduce", "To do it again", blocks)


def without_folder(argument: str) -> str:
    """An argument of a command, of an absolute path the last name alone.

    >>> without_folder("/home/me/xrays"), without_folder("--data=C:/Users/me/xrays"), without_folder("runs/demo")
    ('xrays', '--data=xrays', 'runs/demo')
    """
    option, sign, value = argument.partition("=") if argument.startswith("-") else ("", "", argument)
    for kind in (PurePosixPath, PureWindowsPath):
        if kind(value).is_absolute():
            return option + sign + (kind(value).name or value)
    return argument


# What this page cannot say.

FEW = 200  # validation images, below which intervals of an AUC are wide


def limits(reading: ReportData) -> Section:
    """The limits of this run first, then those of every such page."""
    results, first = reading.results, reading.results["models"][0]
    of_this = []
    if first["images"] < FEW:
        of_this.append(
            f"It rests on {first['images']} validation images of {first['patients']} patients: intervals are wide, and "
            "what differs little cannot be told apart."
        )
    if results["cohort"].get("validation_images_of_training_patients"):
        of_this.append("Patients are on both sides of the split: the AUCs say how well patients are recognised, too.")
    if first["seeds"] == 1:
        of_this.append("One seed a model: how far a result moves when training is repeated was not measured.")
    if audited_summary(reading.audited) is None:
        of_this.append("Not audited: a high AUC may come from marks, borders or the kind of file.")
    general = [
        "Intervals are of patients like these, drawn again. They say nothing of another hospital, scanner or year.",
        "Labels are those of the source; an image may be wrongly labelled, and the models learn that, too.",
        "A map says where a logit comes from, not whether the reason is right. Its colours are scaled for each model "
        "and method: they compare images, not models.",
        "An audit that finds nothing excludes what it asked, at the size it could see; not every shortcut.",
        "Nothing here was tested in care, and nothing here may decide about a patient.",
    ]
    return Section("limits", "Limits", [Words([*of_this, *general], "list")])
