"""Whether a file is the published one: by SHA-256 or its beginning, git's SHA-1 or MD5, whichever is published.

The same weights in files of several kinds have one identity, that of their tensors under timm's names.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from cxrlens.data.download import git_blob_sha1
from cxrlens.models.weights.card import WeightCard


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, as 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def tensors_sha256(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 of tensors whatever file they came from: by name, each its name, its shape and its float32 numbers.

    Args:
        tensors: a backbone's, under timm's names; BatchNorm's counter of batches is left out.
    """
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        if not name.endswith("num_batches_tracked"):
            digest.update(f"{name} {tuple(tensor.shape)}\n".encode())
            digest.update(tensor.detach().cpu().float().contiguous().numpy().astype("<f4", copy=False).tobytes())
    return digest.hexdigest()


def mismatch(card: WeightCard, path: Path) -> str | None:
    """What is wrong with the file's hash, in words; None where it matches, or where no hash is published."""
    if card.sha256:
        found = file_sha256(path)
        if not found.startswith(card.sha256):
            return f"SHA-256 {found[:16]}… where {card.sha256[:16]}… was needed"
    if card.git_blob:
        found = git_blob_sha1(path)
        if found != card.git_blob:
            return f"git's SHA-1 {found[:16]}… where {card.git_blob[:16]}… was needed"
    if card.md5:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
        if found not in card.md5:
            return f"MD5 {found} where {' or '.join(card.md5)} was needed"
    return None


def has_hash(card: WeightCard) -> bool:
    """Whether its publisher's file can be told from any other."""
    return bool(card.sha256 or card.git_blob or card.md5)
