"""Whether a file is the published one: by SHA-256 or its beginning, or by git's SHA-1, whichever is known."""

from __future__ import annotations

import hashlib
from pathlib import Path

from cxrlens.data.download import git_blob_sha1
from cxrlens.models.weights.card import WeightCard


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, as 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


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
    return None


def has_hash(card: WeightCard) -> bool:
    """Whether its publisher's file can be told from any other."""
    return bool(card.sha256 or card.git_blob)
