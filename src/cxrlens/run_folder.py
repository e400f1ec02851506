"""The only reader and writer of a run's folder: atomic, locked, resumable."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from filelock import FileLock, Timeout

from cxrlens.errors import UserError
from cxrlens.files import write_text
from cxrlens.outputs import FOLDER_MARK, check_folder

SCHEMA_VERSION = 1
# Beside the networks' folders: what later commands read.
OWN_FILES = (
    FOLDER_MARK, "study.toml", "cohort.csv", "splits.csv", "predictions.csv", "results.json", "results.md",
    "exclusions.json", "environment.json", "explain.json", "audit.json", "audit.md",
)  # fmt: skip


@dataclass(frozen=True)
class Unit:
    """The folder of one trained network: `models/NAME/seed-S/fold-F`."""

    folder: Path

    @property
    def weights(self) -> Path:
        """The trained network, whole."""
        return self.folder / "weights.safetensors"

    @property
    def checkpoint(self) -> Path:
        """Where training stands; gone when it is done."""
        return self.folder / "checkpoint.safetensors"

    @property
    def record(self) -> Path:
        """Written last: where it is, the network is trained and all else is whole."""
        return self.folder / "unit.json"


@dataclass(frozen=True)
class RunFolder:
    """A run on disk."""

    path: Path

    def unit(self, model: str, seed: int, fold: int) -> Unit:
        """The folder of one network; `model` is its folder's name."""
        return Unit(self.path / "models" / model / f"seed-{seed}" / f"fold-{fold}")

    @property
    def study(self) -> Path:
        """The study file that the run is of."""
        return self.path / "study.toml"

    @property
    def has_networks(self) -> bool:
        """Whether any network is trained, or begun."""
        return (self.path / "models").exists()

    @contextmanager
    def locked(self, kind: str) -> Iterator[None]:
        """Holds the folder, so that two runs never write into it at once.

        Args:
            kind: what it is a folder of: "run", "pretraining" or "augmentation search".

        Raises:
            UserError: the folder holds something else, another run holds it, or it cannot be made.
        """
        check_folder(self.path, kind, lambda: self._is_older(kind))
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(
                f"cannot make the run's folder {self.path}: {error.strerror}; choose another --out"
            ) from error
        lock = FileLock(self.path / ".lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise UserError(f"another run is writing into {self.path}; wait for it or choose another --out") from None
        except OSError as error:
            raise UserError(f"cannot write into {self.path}: {error.strerror}; choose another --out") from error
        try:
            if not (self.path / FOLDER_MARK).exists():
                self.write_json(FOLDER_MARK, {"schema_version": SCHEMA_VERSION, "kind": kind})
            yield
        finally:
            lock.release()

    def _is_older(self, kind: str) -> bool:
        """Whether it was made before folders said what they are."""
        marks = {
            "run": ("models/*/seed-*/fold-*/*", "predictions.csv"),
            "pretraining": ("trained.safetensors", "checkpoint.safetensors"),
            "augmentation search": ("augment_trials.csv",),
        }
        if kind == "run" and (not self.study.exists() or (self.path / "trained.safetensors").exists()):
            return False
        return any(any(self.path.glob(mark)) for mark in marks[kind])

    def own_files(self) -> list[Path]:
        """The files that the run is: no command writes its results over one of them."""
        return [*(self.path / name for name in OWN_FILES), *(self.path / "models").rglob("*")]

    def write_json(self, name: str, value: Any) -> None:
        """Writes a JSON file: keys in the order given, NaN refused."""
        write_text(self.path / name, json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n")

    def read_json(self, name: str) -> Any:
        """Reads a JSON file.

        Raises:
            UserError: it is absent or damaged.
        """
        path = self.path / name
        try:
            return json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise UserError(f"{self.path} holds no {name}: it is no finished run; `cxrlens run` makes one") from None
        except (OSError, ValueError) as error:
            raise UserError(f"{path} is damaged ({error}); run the study again to write it anew") from error

    def write_table(self, path: Path, table: pd.DataFrame) -> None:
        """Writes a CSV file, numbers in full."""
        write_text(path, table.to_csv(index=False, lineterminator="\n"))

    def read_table(self, path: Path) -> pd.DataFrame:
        """Reads a CSV file of a run; image and patient are text (a patient may be called NA), an empty cell is unknown.

        Raises:
            UserError: it is absent or damaged.
        """
        try:
            return pd.read_csv(path, dtype={"image": str, "patient": str}, keep_default_na=False, na_values=[""])
        except FileNotFoundError:
            raise UserError(f"{path} is missing: `cxrlens run` with the same study makes it") from None
        except (OSError, ValueError) as error:
            raise UserError(f"{path} is damaged ({error}); delete it and run the study again") from error
