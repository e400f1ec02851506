"""The training loop: Adam, one label or several; a resumed training gives the same bits on the CPU."""

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
from cxrlens.train.inputs import FixedImages, LabelledImages, choose_inputs, drawn_views
from cxrlens.train.order import Order, ends_alone
from cxrlens.train.training_options import Loss, TrainingOptions, cross_entropy, label_weights, learning_rate

NO_AUGMENTATION = Augmentation()


@dataclass
class State:
    """State of a training; a checkpoint holds it with the weights and the state of the optimizer."""

    step: int = 0
    history: list[dict[str, float]] = field(default_factory=list)
    epoch_images: int = 0
    epoch_loss: list[float] = field(default_factory=list)
    epoch_logits: list[float] = field(default_factory=list)
    epoch_labels: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Fit:
    """One training of one network.

    Attributes:
        model: network, trained in place.
        data: training images.
        validation: images whose loss and AUC go into the history after each epoch; nothing is chosen by them. None for
            a history without them.
        options: batch, epochs, learning rate and so on.
        augmentation: augmentation of the training images.
        seed: seed of order, augmentation and the network's own random numbers.
        fold: number of the fold, which changes the random numbers too.
        device: device that trains.
        checkpoint: file to resume from and to write; None where no checkpoint is written.
        identity: identity of the study, data and model; no other training resumes from the checkpoint.
        title: name of the training, beside the progress bar and in errors.
        loss: function of logits, labels and weights of the labels.
        views: number of views of an image that are drawn once, for a frozen backbone under a continuous augmentation;
            None where every step draws its augmentation anew.
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
    views: int | None = None


def train(fit: Fit, progress: Progress = SILENT) -> pd.DataFrame:
    """Trains `fit.model` in place; resumes from the checkpoint if there is one.

    Returns:
        The history, one row per epoch: epoch, loss, auc, validation_loss, validation_auc. The training AUC comes from
        the logits of the augmented images during the epoch; it is NaN if the epoch had one class only, and for several
        findings. The validation AUC of several findings is their mean. A teacher's features, which the validation
        labels lack, do not count in the validation loss.

    Raises:
        UserError: the loss is not finite, memory runs out, or the checkpoint is damaged or of another training.
        KeyboardInterrupt: the user pressed Ctrl-C; the checkpoint holds the state after the last complete step.
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
    """Whether an error means lack of memory. On a GPU it has its own class; on the CPU only its message tells."""
    return isinstance(error, torch.OutOfMemoryError) or "DefaultCPUAllocator" in str(error)


def training_fault(model: Classifier, images: int) -> str:
    """Tries a forward pass in training mode; returns why the network cannot be trained, or "".

    BatchNorm needs more than one value per channel: PyTorch raises an error where a single image gives a 1 × 1 map.

    Args:
        model: network; its running statistics and modes are left unchanged.
        images: number of images in the pass, which have the network's own size.
    """
    modes = [(module, module.training) for module in model.modules()]
    buffers = {name: buffer.clone() for name, buffer in model.named_buffers()}
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
        for name, buffer in model.named_buffers():
            buffer.copy_(buffers[name])
    return ""


def joins_last(model: Classifier, images: int, batch: int) -> bool:
    """Whether a last batch of one image joins the batch before it, since the network cannot be trained on one image.

    The answer depends on the network, the number of images and the batch alone, so it is the same after a resume.
    """
    return ends_alone(images, batch) and bool(training_fault(model, 1))


def _train(fit: Fit, progress: Progress) -> pd.DataFrame:
    model, options = fit.device.place(fit.model), fit.options
    state, optimizer = State(), _adam(fit)
    checkpoint = load_checkpoint(fit.checkpoint, fit.identity) if fit.checkpoint else None
    if checkpoint:
        state = _restore(model, optimizer, *checkpoint)
    images, batch = len(fit.data.images), options.batch
    if min(images, batch) == 1 and (fault := training_fault(fit.model, 1)):
        raise UserError(f"{fit.title}: {fault}")
    join_last = joins_last(fit.model, images, batch)
    augmentation = fit.augmentation if options.augment else NO_AUGMENTATION
    views = drawn_views(model, fit.data, augmentation, fit.views)
    order = Order(images, batch, fit.seed, fit.fold, join_last, views)
    steps = options.steps_an_epoch(images, join_last)
    total = steps * options.epochs
    with progress.task(f"{fit.title}: features of the frozen backbone", 1) as task:
        task.update(0)
        # `total`, and not the steps that are left: a resumed training must make the same choice.
        inputs = choose_inputs(model, fit.data, augmentation, total * batch, fit.device, task.update, views)
        validation = FixedImages(model, fit.validation, fit.device) if fit.validation is not None else None
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
            _record_step(state, fit, loss, logits, labels)
            if state.step % steps == 0:
                state.history.append(_epoch_row(state, validation))
                state.epoch_images, state.epoch_loss, state.epoch_logits, state.epoch_labels = 0, [], [], []
                model.train()
            task.update(state.step, **_progress_values(state))
            if interrupted():  # after the last step too, so that Ctrl-C stops the next network as well
                saver.save(state)
                raise KeyboardInterrupt
            saver.save_if_due(state)
    model.eval()
    return pd.DataFrame(state.history)


def _adam(fit: Fit) -> torch.optim.Optimizer:
    trained = [parameter for parameter in fit.model.parameters() if parameter.requires_grad]
    options = fit.options
    # Fused: without it, updating the benchmark's 103 million parameters takes as long as differentiating.
    # AdamW (Loshchilov and Hutter 2019, arXiv:1711.05101) without decay is Adam.
    return torch.optim.AdamW(
        trained, options.learning_rate, eps=options.epsilon, weight_decay=options.weight_decay, fused=True
    )


def _record_step(state: State, fit: Fit, loss: Tensor, logits: Tensor, labels: np.ndarray) -> None:
    state.step += 1
    value = loss.item()
    if not np.isfinite(value):
        raise UserError(
            f"{fit.title}: the loss is {value} at step {state.step}, so training stopped; lower learning_rate (now "
            f"{fit.options.learning_rate:g}) or check the preprocessing; the last checkpoint is of an earlier step"
        )
    state.epoch_loss.append(value * len(labels))
    state.epoch_images += len(labels)
    if labels.ndim == 1:
        state.epoch_logits += logits.detach().float().cpu().tolist()
        state.epoch_labels += labels.tolist()


def _epoch_row(state: State, validation: FixedImages | None) -> dict[str, float]:
    training = {
        "epoch": len(state.history) + 1,
        "loss": sum(state.epoch_loss) / state.epoch_images,
        "auc": _auc(np.array(state.epoch_labels), np.array(state.epoch_logits)),
    }
    if validation is None:
        return training
    labels = validation.data.labels
    logits = validation.logits()
    if labels.ndim > 1:
        logits = logits[:, : labels.shape[1]]
    weights = torch.from_numpy(label_weights(labels))
    return training | {
        "validation_loss": cross_entropy(torch.from_numpy(logits), torch.from_numpy(labels), weights).item(),
        "validation_auc": _auc(labels, logits),
    }


def _auc(labels: np.ndarray, scores: np.ndarray) -> float:
    """AUC of one finding, or the mean over those of several findings that have both classes; NaN where none has."""
    columns = zip(labels.T, scores.T, strict=True) if labels.ndim > 1 else [(labels, scores)]
    known = [(label[~np.isnan(label)], score[~np.isnan(label)]) for label, score in columns]
    aucs = [roc_auc_score(label, score) for label, score in known if len(np.unique(label)) == 2]
    return float(np.mean(aucs)) if aucs else float("nan")


def _progress_values(state: State) -> dict[str, Any]:
    last = state.history[-1] if state.history else {}
    loss = sum(state.epoch_loss) / state.epoch_images if state.epoch_images else last["loss"]
    values: dict[str, Any] = {"epoch": len(state.history) + bool(state.epoch_images), "loss": loss}
    return values | {name: last[name] for name in ("auc", "validation_auc") if np.isfinite(last.get(name, np.nan))}


def _restore(
    model: Classifier, optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor], record: dict[str, Any]
) -> State:
    weights = {name.removeprefix("model."): tensor for name, tensor in tensors.items() if name.startswith("model.")}
    keys = model.load_state_dict(weights, strict=False)
    assert not keys.unexpected_keys, "the identity includes the architecture"
    restore_optimizer(optimizer, tensors)
    return State(**record)


class _Saver:
    """Writes the checkpoint every 30 seconds, or more rarely where writing would take over 5% of the time."""

    def __init__(self, fit: Fit, model: Classifier, optimizer: torch.optim.Optimizer) -> None:
        self.fit, self.model, self.optimizer = fit, model, optimizer
        self.interval = 30.0  # seconds
        self.last_save = time.monotonic()

    def save_if_due(self, state: State) -> None:
        if time.monotonic() - self.last_save > self.interval:
            self.save(state)

    def save(self, state: State) -> None:
        if self.fit.checkpoint is None:
            return
        start = time.monotonic()
        weights = {f"model.{name}": tensor for name, tensor in self.model.trained_state().items()}
        record = {**vars(state)}
        save_checkpoint(self.fit.checkpoint, self.fit.identity, weights | optimizer_tensors(self.optimizer), record)
        self.last_save = time.monotonic()
        self.interval = max(30.0, 20 * (self.last_save - start))
