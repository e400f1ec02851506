"""What a study would do: what runs, about how long, and how much memory and disk; one step of each model is timed."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from cxrlens.models.classifier import Classifier, build_classifier, count_parameters
from cxrlens.pipeline.explain.figure1 import check_named_images
from cxrlens.pipeline.fit import training_tasks
from cxrlens.pipeline.prepare import Trainable, need_data, need_interval, prepare, trainable_rows
from cxrlens.progress import SILENT, Progress
from cxrlens.study import Study, read_study
from cxrlens.train.device import Device, choose_device, keep_freed_memory
from cxrlens.train.loop import NO_AUGMENTATION, joins_last

PROCESS = 600_000_000  # bytes of Python with its libraries
ADAM = 6e-10  # seconds a parameter: it streams seven numbers through memory


@dataclass(frozen=True)
class PlannedModel:
    """One row of the plan.

    Attributes:
        name: of the row.
        size: side of its images, in pixels.
        networks: how many are trained (seeds × folds).
        steps: of each.
        parameters: all of them.
        trainable_parameters: those that train.
        seconds: of all its networks, estimated from one timed step.
        memory: bytes while it trains, estimated: the process, weights, gradients and Adam's two moments, the copy that
            a checkpoint makes, a batch's activations and what comes and goes beside them (the benchmark at 224 pixels:
            5.4 GB said, 5.6 GB measured).
        disk: bytes that its networks leave.
        working_disk: bytes of the one checkpoint that is there while a network trains.
    """

    name: str
    size: int
    networks: int
    steps: int
    parameters: int
    trainable_parameters: int
    seconds: float
    memory: int
    disk: int
    working_disk: int


@dataclass(frozen=True)
class Plan:
    """What a run would do."""

    device: str
    images: int
    models: tuple[PlannedModel, ...]
    skipped: tuple[dict[str, str], ...]
    warnings: tuple[str, ...]
    without: tuple[str, ...] = ()  # sentences: what figures will do without, of which model, and why


def plan(
    study: Study | str | Path,
    data: str | Path | None = None,
    *,
    device: str = "auto",
    study_dir: str | Path | None = None,
    progress: Progress = SILENT,
) -> Plan:
    """Prepares the cohort, builds every model and times a step of each; trains and writes nothing.

    Args:
        study: the study, or its file.
        data: the folder of the study's images; None where its source needs none.
        device: "auto", "cpu" or "cuda".
        study_dir: the folder that relative weight paths start from; the study file's by default.
        progress: where work is shown.

    Raises:
        UserError: whatever would stop the run before its training.
    """
    study, file = read_study(study)
    data, study_dir = (
        Path(data) if data is not None else None,
        Path(study_dir) if study_dir is not None else file and file.parent,
    )
    chosen = choose_device(device)
    need_data(study, data)
    rows, skipped = trainable_rows(study, study_dir)  # the plan itself tells who is left out
    prepared = prepare(study, data, progress)
    for sentence in (*prepared.passed_over, *prepared.notes):
        progress.say(sentence)
    need_interval(prepared)
    check_named_images(study, prepared)
    networks = len(training_tasks(prepared, rows[:1]))
    images, validated = len(prepared.splits[0].train), len(prepared.splits[0].validation)
    if not chosen.is_cuda:
        keep_freed_memory()
    planned = []
    with progress.task("timing a step of each model", len(rows)) as task:
        for number, each in enumerate(rows):
            task.update(number)
            planned.append(_planned(each, study, images, validated, networks, chosen, study_dir))
    without = tuple(sentence for each in rows for sentence in each.sentences)
    return Plan(chosen.title, len(prepared.cache.index), tuple(planned), tuple(skipped), prepared.warnings, without)


def _planned(
    trainable_row: Trainable,
    study: Study,
    images: int,
    validated: int,
    networks: int,
    device: Device,
    study_dir: Path | None,
) -> PlannedModel:
    row, size = trainable_row.row, trainable_row.size
    model = build_classifier(row, size, study.seeds[0], study_dir).to(device.name)
    parameters, trainable = count_parameters(model)
    batch = min(row.batch, images)
    pixels = device.put(torch.rand(batch, 1, size, size))
    step, head, forward, activations = _timed(model, pixels, device)
    joined = joins_last(model, images, row.batch)
    steps = row.steps_an_epoch(images, joined) * row.epochs
    variants = study.augment.variants if row.augment else NO_AUGMENTATION.variants
    update = 0.0 if device.is_cuda else trainable * ADAM
    seconds = steps * (step + update) + forward * (images + validated * (row.epochs + 1))
    if model.backbone_is_frozen:
        # The backbone sees validation images twice: before training, and at its end.
        seconds = steps * (step + update) + forward * (images + 2 * validated)
        if variants is not None and steps * batch > len(variants) * images:
            seconds = steps * (head + update) + forward * ((len(variants) + 1) * images + 2 * validated)
    state = sum(each.numel() * each.element_size() for each in model.state_dict().values())
    return PlannedModel(
        name=row.name,
        size=size,
        networks=networks,
        steps=steps,
        parameters=parameters,
        trainable_parameters=trainable,
        seconds=networks * seconds,
        memory=int(PROCESS + state + 24 * trainable + 1.5 * activations),
        disk=networks * state,
        working_disk=12 * trainable,
    )


def _timed(model: Classifier, pixels: torch.Tensor, device: Device) -> tuple[float, float, float, int]:
    """Seconds of a step, of a step of the head alone and of one image forward; bytes of activations kept for a step."""
    kept: list[int] = []

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        kept.append(tensor.numel() * tensor.element_size())
        return tensor

    target = torch.ones(len(pixels), device=pixels.device)
    model.train()
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        step = _seconds(lambda: _step(model, model(pixels), target), device)
    features = model.features(pixels).detach()
    head = _seconds(lambda: _step(model, model.logits(features), target), device)
    model.eval()
    with torch.inference_mode():
        forward = _seconds(lambda: model(pixels), device) / len(pixels)
    return step, head, forward, sum(kept) // 2


def _step(model: Classifier, logits: torch.Tensor, target: torch.Tensor) -> None:
    loss = binary_cross_entropy_with_logits(logits.float(), target)
    torch.autograd.grad(loss, [each for each in model.parameters() if each.requires_grad], allow_unused=True)


def _seconds(work: Callable[[], object], device: Device) -> float:
    """Of the second call: the first one warms up."""
    with device.autocast():
        work()
        began = time.monotonic()
        work()
    if device.is_cuda:
        torch.cuda.synchronize()
    return time.monotonic() - began
