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
from cxrlens.files import write_atomically, write_text

SCHEMA_VERSION = 1


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
    def locked(self) -> Iterator[None]:
        """Holds the folder, so that two runs never write into it at once.

        Raises:
            UserError: another run holds it, or the folder cannot be made.
        """
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
            yield
        finally:
            lock.release()

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
        write_atomically(path, lambda draft: table.to_csv(draft, index=False, lineterminator="\n"))

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
