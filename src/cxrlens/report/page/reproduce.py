"""Reproducibility: versions, hashes, seeds, command, device, timings, and the study file itself."""

from __future__ import annotations

import shlex
from pathlib import PurePosixPath, PureWindowsPath

from cxrlens.report.page.blocks import Block, Section, Verbatim, Words, table
from cxrlens.report.reading import Reading


def reproduce(reading: Reading) -> Section:
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
