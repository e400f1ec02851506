"""The plan of a run: its models, and estimates of time, memory and disk from one timed step of each model."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from cxrlens.arguments import checked
from cxrlens.data.augment import Parameters
from cxrlens.models.classifier import Classifier, build_classifier, count_parameters
from cxrlens.models.heads import head_input
from cxrlens.pipeline.explain.figure1 import check_named_images
from cxrlens.pipeline.fit import training_tasks
from cxrlens.pipeline.prepare import TrainableRow, check_data_given, check_intervals, prepare, trainable_rows
from cxrlens.progress import SILENT, Progress
from cxrlens.study import Study, read_study
from cxrlens.train.device import Device, choose_device, keep_freed_memory
from cxrlens.train.loop import NO_AUGMENTATION, joins_last

PROCESS = 600_000_000  # bytes of Python with its libraries
ADAM = 6e-10  # seconds per parameter: an update moves seven numbers through memory


@dataclass(frozen=True)
class PlannedModel:
    """One row of the plan.

    Attributes:
        name: name of the model.
        size: side of its images, in pixels.
        networks: number of networks (seeds × folds).
        steps: training steps of each network.
        parameters: number of all parameters.
        trainable_parameters: number of trained parameters.
        seconds: estimated training time of all its networks, from one timed step.
        memory: estimated bytes during training: the process, weights, gradients and Adam's two moments, the copy that
            a checkpoint makes, the activations of a batch, and half of these again for temporary arrays (the benchmark
            at 224 pixels: 5.4 GB estimated, 5.6 GB measured).
        disk: bytes of the weights of its networks.
        working_disk: bytes of the one checkpoint that exists while a network trains.
        views: number of drawn views of each training image; None where every step draws its augmentation anew, or
            where the augmentation has few variants.
        features: bytes of the features of a frozen backbone in the cache folder, shared by its networks.
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
    views: int | None = None
    features: int = 0


@dataclass(frozen=True)
class Plan:
    """What a run would do.

    Attributes:
        device: name of the device.
        images: number of readable images.
        models: models that can be trained.
        skipped: models that cannot be trained, each with its `name` and `reason`.
        warnings: warnings about the images and the split.
        without: sentences on what the figures leave out, of which model, and why.
    """

    device: str
    images: int
    models: tuple[PlannedModel, ...]
    skipped: tuple[dict[str, str], ...]
    warnings: tuple[str, ...]
    without: tuple[str, ...] = ()


@checked
def plan(
    study: Study | str | Path,
    data: str | Path | None = None,
    *,
    device: str = "auto",
    study_dir: str | Path | None = None,
    progress: Progress = SILENT,
) -> Plan:
    """Plans a run: prepares the cohort, builds every model and times one step of each. Trains and writes nothing.

    Args:
        study: the study, or its file.
        data: folder of the study's images; None for a source that needs none.
        device: "auto", "cpu" or "cuda".
        study_dir: folder that relative weight paths start from; the study file's by default.
        progress: display of the work in progress.

    Raises:
        UserError: anything that would stop the run before its training.
    """
    study, file = read_study(study)
    data, study_dir = (
        Path(data) if data is not None else None,
        Path(study_dir) if study_dir is not None else file and file.parent,
    )
    chosen = choose_device(device)
    check_data_given(study, data)
    rows, skipped = trainable_rows(study, study_dir)  # the plan itself lists the skipped rows
    prepared = prepare(study, data, progress)
    for sentence in (*prepared.passed_over, *prepared.notes):
        progress.say(sentence)
    check_intervals(prepared)
    check_named_images(study, prepared)
    networks = len(training_tasks(prepared, rows[:1]))
    train_images, validation_images = len(prepared.splits[0].train), len(prepared.splits[0].validation)
    if not chosen.is_cuda:
        keep_freed_memory()
    planned = []
    with progress.task("timing a step of each model", len(rows)) as task:
        for number, row in enumerate(rows):
            task.update(number)
            planned.append(_planned_model(row, study, train_images, validation_images, networks, chosen, study_dir))
    without = tuple(sentence for row in rows for sentence in row.sentences)
    return Plan(chosen.title, len(prepared.cache.index), tuple(planned), tuple(skipped), prepared.warnings, without)


def _planned_model(
    trainable_row: TrainableRow,
    study: Study,
    train_images: int,
    validation_images: int,
    networks: int,
    device: Device,
    study_dir: Path | None,
) -> PlannedModel:
    row, size = trainable_row.row, trainable_row.size
    model = build_classifier(row, size, study.seeds[0], study_dir).to(device.name)
    parameters, trainable = count_parameters(model)
    batch = min(row.batch, train_images)
    pixels = device.put(torch.rand(batch, 1, size, size))
    step, head, forward, activations = _time_step(model, pixels, device)
    joined = joins_last(model, train_images, row.batch)
    steps = row.steps_an_epoch(train_images, joined) * row.epochs
    variants = study.augment.variants if row.augment else NO_AUGMENTATION.variants
    views = row.drawn_views(study.augment)
    update = 0.0 if device.is_cuda else trainable * ADAM
    seconds = networks * (steps * (step + update) + forward * (train_images + validation_images * (row.epochs + 1)))
    features = 0
    if model.backbone_is_frozen:
        # Each image passes the frozen backbone once without augmentation, for all networks.
        head_on_views, size_of_map, size_of_view = _time_features(model, pixels, device)
        once, features = train_images + validation_images, size_of_map * (train_images + validation_images)
        seconds = networks * steps * (step + update) + forward * once
        if views is not None:
            seconds = networks * steps * (head_on_views + update) + forward * (once + views * train_images)
            features += size_of_view * views * train_images
        elif variants is not None and steps * batch > len(variants) * train_images:
            augmented = len({*variants} - {Parameters()})
            seconds = networks * steps * (head + update) + forward * (once + augmented * train_images)
            features += size_of_map * augmented * train_images
    state = sum(tensor.numel() * tensor.element_size() for tensor in model.state_dict().values())
    return PlannedModel(
        name=row.name,
        size=size,
        networks=networks,
        steps=steps,
        parameters=parameters,
        trainable_parameters=trainable,
        seconds=seconds,
        memory=int(PROCESS + state + 24 * trainable + 1.5 * activations),
        disk=networks * state,
        working_disk=12 * trainable,
        views=views,
        features=features,
    )


def _time_step(model: Classifier, pixels: torch.Tensor, device: Device) -> tuple[float, float, float, int]:
    """Seconds of a training step, of a step of the head and of the forward pass of one image; bytes of activations."""
    sizes: list[int] = []

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        sizes.append(tensor.numel() * tensor.element_size())
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
    return step, head, forward, sum(sizes) // 2


def _time_features(model: Classifier, pixels: torch.Tensor, device: Device) -> tuple[float, int, int]:
    """Seconds of a step of the head on drawn views; bytes of one feature map and of what the head needs of it."""
    needed, target = head_input(model.head), torch.ones(len(pixels), device=pixels.device)
    with torch.no_grad():
        maps = model.features(pixels)
        inputs = needed.of(maps.float())
    seconds = _seconds(lambda: _step(model, needed.output(inputs).squeeze(1), target), device)
    return seconds, 4 * maps[0].numel(), 4 * inputs[0].numel()


def _step(model: Classifier, logits: torch.Tensor, target: torch.Tensor) -> None:
    loss = binary_cross_entropy_with_logits(logits.float(), target)
    torch.autograd.grad(loss, [p for p in model.parameters() if p.requires_grad], allow_unused=True)


def _seconds(work: Callable[[], object], device: Device) -> float:
    """Seconds of the second call; the first one warms up."""
    with device.autocast():
        work()
        began = time.monotonic()
        work()
    if device.is_cuda:
        torch.cuda.synchronize()
    return time.monotonic() - began
