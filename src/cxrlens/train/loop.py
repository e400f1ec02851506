"""The only training loop: Adam, one label or many, resumable at any step, the same bits on the CPU either way."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from sklearn.metrics import roc_auc_score
from torch import Tensor

from cxrlens.data.augment import Augmentation
from cxrlens.errors import UserError
from cxrlens.models.classifier import Classifier, seeded
from cxrlens.progress import SILENT, Progress
from cxrlens.train.checkpoint import (
    deferred_interrupt,
    load_checkpoint,
    optimizer_tensors,
    restore_optimizer,
    save_checkpoint,
)
from cxrlens.train.device import Device, keep_freed_memory
from cxrlens.train.inputs import FixedImages, LabelledImages, choose_inputs
from cxrlens.train.order import Order, ends_alone
from cxrlens.train.training_options import Loss, TrainingOptions, cross_entropy, label_weights, learning_rate

NO_AUGMENTATION = Augmentation()


@dataclass
class State:
    """Where training stands: with the weights and the optimizer, all that a checkpoint needs."""

    step: int = 0
    history: list[dict[str, float]] = field(default_factory=list)
    epoch_images: int = 0
    epoch_loss: list[float] = field(default_factory=list)
    epoch_logits: list[float] = field(default_factory=list)
    epoch_labels: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Fit:
    """One training of one model.

    Attributes:
        model: trained in place.
        data: the training images.
        validation: images whose loss and AUC go into the history after each epoch, never to choose anything; None for a
            history without them.
        options: batch, epochs and so on.
        augmentation: of the training images.
        seed: of order, augmentation and whatever the network draws.
        fold: likewise.
        device: where.
        checkpoint: the file to resume from and to write; none where nothing is kept.
        identity: of the study, data and model, so that no other training resumes from that file.
        title: beside the progress bar.
        loss: of logits, labels and the weights of the labels.
    """

    model: Classifier
    data: LabelledImages
    validation: LabelledImages | None
    options: TrainingOptions
    augmentation: Augmentation
    seed: int
    fold: int
    device: Device
    checkpoint: Path | None = None
    identity: str = ""
    title: str = ""
    loss: Loss = cross_entropy


def train(fit: Fit, progress: Progress = SILENT) -> pd.DataFrame:
    """Trains `fit.model` in place, going on from the checkpoint where there is one.

    Returns:
        The history: one row an epoch with epoch, loss, auc, validation_loss, validation_auc. The training AUC is of the
        epoch's augmented images as they were seen; NaN where an epoch saw one class only, and where there are several
        findings. The validation AUC of several findings is their mean, and what the validation labels don't have (a
        teacher's features) is no part of the validation loss.

    Raises:
        UserError: the loss is not finite, memory runs out, or the checkpoint is damaged or another training's.
        KeyboardInterrupt: Ctrl-C; the checkpoint holds everything up to the last whole step.
    """
    if not fit.device.is_cuda:
        keep_freed_memory()
    with seeded(fit.seed):
        try:
            return _train(fit, progress)
        except RuntimeError as error:
            if not _out_of_memory(error):
                raise
            raise UserError(
                f"{fit.title}: {fit.device.title} has no memory left at batch {fit.options.batch}; "
                f"use a smaller batch or image size{', or --device cpu' if fit.device.is_cuda else ''}"
            ) from error


def _out_of_memory(error: RuntimeError) -> bool:
    """A GPU's has a class of its own; a processor's is known by its words alone."""
    return isinstance(error, torch.OutOfMemoryError) or "DefaultCPUAllocator" in str(error)


def training_fault(model: Classifier, images: int) -> str:
    """Why a network cannot take a training step of so many images, else ""; asked by one forward pass in training mode.

    A BatchNorm has no spread to divide by where one image alone gives it a 1 × 1 map: PyTorch raises there.

    Args:
        model: left as it was, its running statistics and modes included.
        images: how many go through it, of its own size.
    """
    modes = [(module, module.training) for module in model.modules()]
    buffers = {name: each.clone() for name, each in model.named_buffers()}
    try:
        with seeded(0), torch.no_grad():
            model.train()
            model(torch.full((images, 1, model.size, model.size), 0.5).to(model.mean))
    except (RuntimeError, ValueError, TypeError, AttributeError, IndexError, AssertionError) as error:
        if isinstance(error, RuntimeError) and _out_of_memory(error):
            raise
        if "more than 1" in str(error):  # "Expected more than 1 value per channel when training, got ..."
            return (
                f"a training step of {images} image{'s' if images > 1 else ''} at {model.size} × {model.size} pixels "
                "leaves a normalising layer of this network one value a channel, which has no spread: use a larger "
                "batch (2 or more), or larger images"
            )
        return f"a training step fails at {model.size} × {model.size} pixels: {type(error).__name__}: {error}"
    finally:
        for module, training in modes:
            module.training = training
        for name, each in model.named_buffers():
            each.copy_(buffers[name])
    return ""


def joins_last(model: Classifier, images: int, batch: int) -> bool:
    """Whether a last batch of one image joins the one before: where the network cannot be trained on one image alone.

    A function of the network, the number of images and the batch, so that a resumed training does the same.
    """
    return ends_alone(images, batch) and bool(training_fault(model, 1))


def _train(fit: Fit, progress: Progress) -> pd.DataFrame:
    model, options = fit.device.place(fit.model), fit.options
    state, optimizer = State(), _adam(fit)
    found = load_checkpoint(fit.checkpoint, fit.identity) if fit.checkpoint else None
    if found:
        state = _restore(model, optimizer, *found)
    images, batch = len(fit.data.images), options.batch
    if min(images, batch) == 1 and (fault := training_fault(fit.model, 1)):
        raise UserError(f"{fit.title}: {fault}")
    joined = joins_last(fit.model, images, batch)
    order = Order(images, batch, fit.seed, fit.fold, joined)
    steps = options.steps_an_epoch(images, joined)
    total = steps * options.epochs
    augmentation = fit.augmentation if options.augment else NO_AUGMENTATION
    with progress.task(f"{fit.title}: features of the frozen backbone", 1) as task:
        task.update(0)
        # `total`, not what is left of it: a resumed training has to make the same choice.
        inputs = choose_inputs(model, fit.data, augmentation, total * batch, fit.device, task.update)
        watched = FixedImages(model, fit.validation, fit.device) if fit.validation is not None else None
    weights = label_weights(fit.data.labels, options.class_weights)
    saver = _Saver(fit, model, optimizer)
    model.train()
    with progress.task(fit.title, total) as task, deferred_interrupt() as interrupted:
        while state.step < total:
            rows = order.rows(state.step)
            labels = fit.data.labels[rows]
            torch.manual_seed(order.torch_seed(state.step))
            with fit.device.autocast():
                logits = inputs.logits(rows, order.parameters(state.step, augmentation))
            target = fit.device.put(torch.from_numpy(labels))
            loss = fit.loss(logits.float(), target, fit.device.put(torch.from_numpy(weights[rows])))
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(options, state.step, total)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            _note(state, fit, loss, logits, labels)
            if state.step % steps == 0:
                state.history.append(_epoch(state, watched))
                state.epoch_images, state.epoch_loss, state.epoch_logits, state.epoch_labels = 0, [], [], []
                model.train()
            task.update(state.step, **_shown(state))
            if interrupted():  # asked after the last step too: whoever pressed Ctrl-C wants no next network
                saver.save(state)
                raise KeyboardInterrupt
            saver.save_if_due(state)
    model.eval()
    return pd.DataFrame(state.history)


def _adam(fit: Fit) -> torch.optim.Optimizer:
    trained = [each for each in fit.model.parameters() if each.requires_grad]
    options = fit.options
    # Fused: the benchmark's 103 million parameters cost as much to update as to differentiate otherwise.
    # Decoupled decay (Loshchilov and Hutter 2019, arXiv:1711.05101); without decay it is Adam.
    return torch.optim.AdamW(
        trained, options.learning_rate, eps=options.epsilon, weight_decay=options.weight_decay, fused=True
    )


def _note(state: State, fit: Fit, loss: Tensor, logits: Tensor, labels: np.ndarray) -> None:
    state.step += 1
    value = loss.item()
    if not np.isfinite(value):
        raise UserError(
            f"{fit.title}: the loss is {value} at step {state.step}, so training stopped; the last checkpoint is from "
            f"before: lower learning_rate (now {fit.options.learning_rate:g}) or check the preprocessing"
        )
    state.epoch_loss.append(value * len(labels))
    state.epoch_images += len(labels)
    if labels.ndim == 1:
        state.epoch_logits += logits.detach().float().cpu().tolist()
        state.epoch_labels += labels.tolist()


def _epoch(state: State, watched: FixedImages | None) -> dict[str, float]:
    training = {
        "epoch": len(state.history) + 1,
        "loss": sum(state.epoch_loss) / state.epoch_images,
        "auc": _auc(np.array(state.epoch_labels), np.array(state.epoch_logits)),
    }
    if watched is None:
        return training
    labels = watched.data.labels
    logits = watched.logits()
    if labels.ndim > 1:
        logits = logits[:, : labels.shape[1]]
    weights = torch.from_numpy(label_weights(labels))
    return training | {
        "validation_loss": cross_entropy(torch.from_numpy(logits), torch.from_numpy(labels), weights).item(),
        "validation_auc": _auc(labels, logits),
    }


def _auc(labels: np.ndarray, scores: np.ndarray) -> float:
    """Of one finding, or the mean over those of several that have both classes; NaN where none has."""
    columns = zip(labels.T, scores.T, strict=True) if labels.ndim > 1 else [(labels, scores)]
    known = [(label[~np.isnan(label)], score[~np.isnan(label)]) for label, score in columns]
    found = [roc_auc_score(label, score) for label, score in known if len(np.unique(label)) == 2]
    return float(np.mean(found)) if found else float("nan")


def _shown(state: State) -> dict[str, Any]:
    last = state.history[-1] if state.history else {}
    loss = sum(state.epoch_loss) / state.epoch_images if state.epoch_images else last["loss"]
    shown: dict[str, Any] = {"epoch": len(state.history) + bool(state.epoch_images), "loss": loss}
    return shown | {name: last[name] for name in ("auc", "validation_auc") if np.isfinite(last.get(name, np.nan))}


def _restore(
    model: Classifier, optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor], record: dict[str, Any]
) -> State:
    weights = {name.removeprefix("model."): each for name, each in tensors.items() if name.startswith("model.")}
    missing = model.load_state_dict(weights, strict=False)
    assert not missing.unexpected_keys, "the identity holds the architecture"
    restore_optimizer(optimizer, tensors)
    return State(**record)


class _Saver:
    """Writes the checkpoint now and then: often enough to lose little, seldom enough to cost little."""

    def __init__(self, fit: Fit, model: Classifier, optimizer: torch.optim.Optimizer) -> None:
        self.fit, self.model, self.optimizer = fit, model, optimizer
        self.wait = 30.0  # seconds
        self.last = time.monotonic()

    def save_if_due(self, state: State) -> None:
        if time.monotonic() - self.last > self.wait:
            self.save(state)

    def save(self, state: State) -> None:
        if self.fit.checkpoint is None:
            return
        began = time.monotonic()
        weights = {f"model.{name}": each for name, each in self.model.trained_state().items()}
        record = {**vars(state)}
        save_checkpoint(self.fit.checkpoint, self.fit.identity, weights | optimizer_tensors(self.optimizer), record)
        self.last = time.monotonic()
        self.wait = max(30.0, 20 * (self.last - began))
