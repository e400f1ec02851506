"""Where the arithmetic happens: CUDA in bfloat16 where there is one, else the CPU in float32."""

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
    """A device as the loop uses it.

    Attributes:
        name: "cpu", "cuda" or "cuda:1".
        title: for a person, such as the GPU's model.
    """

    name: str
    title: str

    @property
    def is_cuda(self) -> bool:
        """Whether it is a GPU."""
        return self.name.startswith("cuda")

    def place(self, model: M) -> M:
        """The model itself, moved there, weights in the memory layout that convolutions like."""
        return model.to(self.name).to(memory_format=torch.channels_last)

    def put(self, tensor: Tensor) -> Tensor:
        """The tensor there, images in the memory layout that convolutions like."""
        moved = tensor.to(self.name, non_blocking=True)
        return moved.contiguous(memory_format=torch.channels_last) if moved.ndim == 4 else moved

    def autocast(self) -> AbstractContextManager[object]:
        """bfloat16 on a GPU; nothing on the CPU."""
        return torch.autocast("cuda", torch.bfloat16) if self.is_cuda else nullcontext()


def choose_device(name: str = "auto") -> Device:
    """The device that a name means; "auto" takes a GPU where one is usable.

    Raises:
        UserError: there is no such device.
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


# Freed memory stays with the process: giving large blocks back to Linux at every step costs half of a CPU step.
#
# Measured on the benchmark CNN at 224 pixels, batch 16, two cores: 1.9 s a step without, 0.96 s with; of the former,
# 1.4 s were the kernel's, clearing pages that had just been given back.

TRIM_THRESHOLD, MMAP_MAX = -1, -4  # glibc's malloc.h


@cache
def keep_freed_memory() -> bool:
    """Tells glibc to serve large blocks from the heap and never to trim it; returns whether it did.

    For the whole process and for good. No effect on any number, and none outside Linux with glibc.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    allocator = ctypes.CDLL(None)
    return bool(allocator.mallopt(MMAP_MAX, 0) and allocator.mallopt(TRIM_THRESHOLD, 2**31 - 1))
