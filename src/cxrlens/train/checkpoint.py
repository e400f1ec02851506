"""Checkpoints: a safetensors file that is complete or absent, and that only its own training accepts."""

from __future__ import annotations

import json
import signal
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import safetensors
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from cxrlens.errors import UserError
from cxrlens.files import write_atomically


def save_checkpoint(path: Path, identity: str, tensors: dict[str, Tensor], record: dict[str, Any]) -> None:
    """Writes tensors and a record atomically into one file.

    Args:
        path: path of the file.
        identity: identity of the training that the checkpoint belongs to.
        tensors: tensors that must be restored exactly.
        record: all other state, such as the step, as JSON values.
    """
    save_tensors(path, tensors, {"identity": identity, "record": json.dumps(record)})


def save_tensors(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str] | None = None) -> None:
    """Writes named tensors atomically as safetensors.

    Raises:
        UserError: the disk is full or the folder cannot be written.
    """
    on_cpu = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}

    def write(draft: Path) -> None:
        try:
            save_file(on_cpu, draft, metadata)
        except safetensors.SafetensorError as error:  # how the library reports a full disk
            raise OSError(28, f"{error}") from error

    write_atomically(path, write)


def load_checkpoint(path: Path, identity: str) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
    """Reads the tensors and the record of a checkpoint; None if the file is absent.

    Raises:
        UserError: the file is damaged or belongs to another training; a training never restarts silently.
    """
    if not path.exists():
        return None
    advice = f"delete {path} to train this model again from the start"
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            # Copies: mapped tensors would change when the file is overwritten.
            tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118
        record = json.loads(metadata["record"])
    except (safetensors.SafetensorError, OSError, KeyError, ValueError, struct.error) as error:
        raise UserError(f"the checkpoint {path} is damaged ({error}); {advice}") from error
    if metadata.get("identity") != identity:
        raise UserError(f"the checkpoint {path} belongs to another study, model, data or version of cxrlens; {advice}")
    return tensors, record


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """State of the optimizer as named tensors, `optimizer.NUMBER.NAME`."""
    state = optimizer.state_dict()["state"]
    return {f"optimizer.{number}.{name}": tensor for number, slots in state.items() for name, tensor in slots.items()}


def restore_optimizer(optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    """Restores the state of an optimizer from tensors that `optimizer_tensors` gave."""
    slots: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        if name.startswith("optimizer."):
            _, number, slot = name.split(".", 2)
            slots.setdefault(int(number), {})[slot] = tensor
    optimizer.load_state_dict({"state": slots, "param_groups": optimizer.state_dict()["param_groups"]})
    for parameter, state in optimizer.state.items():
        for name, tensor in state.items():
            if tensor.shape == parameter.shape:
                # The fused Adam needs the moments in the memory layout of their weights (channels last).
                state[name] = torch.empty_like(parameter).copy_(tensor)


@contextmanager
def deferred_interrupt() -> Iterator[Callable[[], bool]]:
    """Defers Ctrl-C and SIGTERM, so that training stops between two steps and saves a consistent state.

    Outside the main thread, where signals cannot be caught, nothing is deferred.

    Yields:
        A function that tells whether a signal has come. A second Ctrl-C interrupts at once.
    """
    received: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    signals = (signal.SIGINT, signal.SIGTERM)
    previous = {number: signal.getsignal(number) for number in signals}

    def remember(number: int, frame: FrameType | None) -> None:
        received.append(number)
        signal.signal(signal.SIGINT, signal.default_int_handler)

    for number in signals:
        signal.signal(number, remember)
    try:
        yield lambda: bool(received)
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
