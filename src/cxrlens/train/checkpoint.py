"""Checkpoints: one safetensors file that is whole or absent, and is refused by any other study than its own."""

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
    """Writes tensors and a JSON-able record under one name, atomically.

    Args:
        path: of the file.
        identity: of the training that it belongs to.
        tensors: whatever has to come back bit by bit.
        record: whatever else, such as the step.
    """
    save_tensors(path, tensors, {"identity": identity, "record": json.dumps(record)})


def save_tensors(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str] | None = None) -> None:
    """Writes named tensors as safetensors, atomically.

    Raises:
        UserError: the disk is full or the folder cannot be written.
    """
    kept = {name: each.detach().cpu().contiguous() for name, each in tensors.items()}

    def write(draft: Path) -> None:
        try:
            save_file(kept, draft, metadata)
        except safetensors.SafetensorError as error:  # how the library reports a full disk
            raise OSError(28, f"{error}") from error

    write_atomically(path, write)


def load_checkpoint(path: Path, identity: str) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
    """Tensors and record of a checkpoint; None where there is none.

    Raises:
        UserError: the file is damaged or belongs to another study: nothing starts over in silence.
    """
    if not path.exists():
        return None
    advice = f"delete {path} to train this model again from the start"
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            # A copy: tensors that map the file would change under it.
            tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118
        record = json.loads(metadata["record"])
    except (safetensors.SafetensorError, OSError, KeyError, ValueError, struct.error) as error:
        raise UserError(f"the checkpoint {path} is damaged ({error}); {advice}") from error
    if metadata.get("identity") != identity:
        raise UserError(f"the checkpoint {path} is of another study, model, data or version of cxrlens; {advice}")
    return tensors, record


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The optimizer's own state as flat tensors."""
    state = optimizer.state_dict()["state"]
    return {f"optimizer.{number}.{name}": each for number, slots in state.items() for name, each in slots.items()}


def restore_optimizer(optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    """Puts back what `optimizer_tensors` gave."""
    slots: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        if name.startswith("optimizer."):
            _, number, slot = name.split(".", 2)
            slots.setdefault(int(number), {})[slot] = tensor
    optimizer.load_state_dict({"state": slots, "param_groups": optimizer.state_dict()["param_groups"]})
    for parameter, state in optimizer.state.items():
        for name, tensor in state.items():
            if tensor.shape == parameter.shape:
                # The fused Adam walks through memory: moments must lie as their weights do (channels last).
                state[name] = torch.empty_like(parameter).copy_(tensor)


# Ctrl-C between two steps rather than inside one, so that what is saved is whole.


@contextmanager
def deferred_interrupt() -> Iterator[Callable[[], bool]]:
    """Within the block the first Ctrl-C (or SIGTERM) only makes the given function return True; a second one acts.

    Outside the main thread, where signals can't be caught, nothing changes.
    """
    asked: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    signals = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.getsignal(number) for number in signals}

    def note(number: int, frame: FrameType | None) -> None:
        asked.append(number)
        signal.signal(signal.SIGINT, signal.default_int_handler)

    for number in signals:
        signal.signal(number, note)
    try:
        yield lambda: bool(asked)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
