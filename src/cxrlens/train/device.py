"""Devices: a GPU in bfloat16 where there is one, else the CPU in float32."""

from __future__ import annotations

import ctypes
import platform
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cache
from typing import TypeVar

import torch
from torch import Tensor, nn

from cxrlens.errors import UserError

M = TypeVar("M", bound=nn.Module)


@dataclass(frozen=True)
class Device:
    """A device for training and inference.

    Attributes:
        name: PyTorch's name, such as "cpu", "cuda" or "cuda:1".
        title: description for the user, such as the name of the GPU.
    """

    name: str
    title: str

    @property
    def is_cuda(self) -> bool:
        """Whether the device is a GPU."""
        return self.name.startswith("cuda")

    def place(self, model: M) -> M:
        """Moves a model to the device, in the memory layout that is fastest for convolutions (channels last)."""
        return model.to(self.name).to(memory_format=torch.channels_last)

    def put(self, tensor: Tensor) -> Tensor:
        """A tensor on the device; images [b, c, h, w] in the memory layout that is fastest for convolutions."""
        moved = tensor.to(self.name, non_blocking=True)
        return moved.contiguous(memory_format=torch.channels_last) if moved.ndim == 4 else moved

    def autocast(self) -> AbstractContextManager[object]:
        """A context with automatic mixed precision in bfloat16 on a GPU; float32 on the CPU."""
        return torch.autocast("cuda", torch.bfloat16) if self.is_cuda else nullcontext()


def choose_device(name: str = "auto") -> Device:
    """Chooses a device by name; "auto" takes a GPU if one can be used, else the CPU.

    Raises:
        UserError: the name is not a device, or the device cannot be used.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cpu":
        threads = torch.get_num_threads()
        return Device("cpu", f"CPU, {threads} thread" + ("" if threads == 1 else "s"))
    try:
        return Device(name, torch.cuda.get_device_name(torch.device(name)))
    except (RuntimeError, AssertionError, ValueError) as error:
        raise UserError(
            f"device '{name}' cannot be used; needed 'auto', 'cpu', or 'cuda' with a working GPU"
        ) from error


# glibc returns large freed blocks to Linux, which clears their pages when they are needed again. For the benchmark CNN
# (224 pixels, batch 16, two cores) a step takes 1.9 s with that, 1.4 s of them in the kernel, and 0.96 s without.
TRIM_THRESHOLD, MMAP_MAX = -1, -4  # glibc's malloc.h


@cache
def keep_freed_memory() -> bool:
    """Makes glibc keep freed memory in the process; returns whether it could.

    The setting holds for the whole process until it ends. It changes no result, and does nothing where there is no
    glibc.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    allocator = ctypes.CDLL(None)
    return bool(allocator.mallopt(MMAP_MAX, 0) and allocator.mallopt(TRIM_THRESHOLD, 2**31 - 1))
