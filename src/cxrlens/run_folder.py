"""A run's folder: its files, its lock, and how its tables and JSON files are written and read."""

from __future__ import annotations

import csv
import hashlib
import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd
from filelock import FileLock, Timeout

from cxrlens import __version__
from cxrlens.errors import UserError
from cxrlens.files import write_atomically, write_text
from cxrlens.names import PERCENT
from cxrlens.outputs import FOLDER_MARK, check_folder

SCHEMA_VERSION = 1
# The files of a run beside its networks' folders. Later commands read them.
OWN_FILES = (
    FOLDER_MARK, "study.toml", "cohort.csv", "splits.csv", "predictions.csv", "results.json", "results.md",
    "exclusions.json", "duplicates.json", "environment.json", "explain.json", "audit.json", "audit.md",
)  # fmt: skip

# Columns of a run's tables with numbers, with true or false, and with text.
NUMBERS = frozenset(
    {
        "label", "age", "seed", "fold", "probability", "logit", "epoch", "loss", "auc", "validation_loss",
        "validation_auc", "width", "height", "bytes", "bits", "depth", "depth_alone", "train", "validation", "seconds",
    }
)  # fmt: skip
FLAGS = frozenset({"patient_known"})
TEXTS = frozenset(
    {
        "image", "patient", "finding", "view", "source", "site", "date", "sex", "license", "notes", "path", "mode",
        "format", "sha256", "steps", "missing", "side", "model", "set", "combination", "augmentation", "identity",
    }
)  # fmt: skip
T = TypeVar("T")
_FLOAT = re.compile(r"-?(\d+\.\d+(e[+-]?\d+)?|\d+e[+-]?\d+|inf)")


@dataclass(frozen=True)
class NetworkFolder:
    """The folder of one trained network: `models/NAME/seed-S/fold-F`."""

    folder: Path

    @property
    def weights(self) -> Path:
        """File of the trained network, with all its tensors."""
        return self.folder / "weights.safetensors"

    @property
    def checkpoint(self) -> Path:
        """Checkpoint of an unfinished training; deleted when the training is done."""
        return self.folder / "checkpoint.safetensors"

    @property
    def record(self) -> Path:
        """Record of a finished network. It is written last, so where it exists the other files are complete."""
        return self.folder / "unit.json"


@dataclass(frozen=True)
class RunFolder:
    """A run on disk."""

    path: Path

    def unit(self, model: str, seed: int, fold: int) -> NetworkFolder:
        """Folder of one network.

        Args:
            model: folder name of the model, see `study.folder_name`.
            seed: seed of the training.
            fold: number of the fold, from 0.
        """
        return NetworkFolder(self.path / "models" / model / f"seed-{seed}" / f"fold-{fold}")

    @property
    def study(self) -> Path:
        """The run's copy of its study file."""
        return self.path / "study.toml"

    @property
    def has_networks(self) -> bool:
        """Whether the training of any network has begun."""
        return (self.path / "models").exists()

    @contextmanager
    def locked(self, kind: str) -> Iterator[None]:
        """Creates and locks the folder, so that two runs never write into it at once.

        Args:
            kind: kind of the folder: "run", "pretraining" or "augmentation search".

        Raises:
            UserError: the folder holds other files, another run has locked it, or it cannot be created.
        """
        check_folder(self.path, kind, lambda: self._is_older(kind))
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(
                f"cannot create the run's folder {self.path}: {error.strerror}; choose another --out"
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
        """Whether the folder was made by a version that wrote no mark of its kind."""
        marks = {
            "run": ("models/*/seed-*/fold-*/*", "predictions.csv"),
            "pretraining": ("trained.safetensors", "checkpoint.safetensors"),
            "augmentation search": ("augment_trials.csv",),
        }
        if kind == "run" and (not self.study.exists() or (self.path / "trained.safetensors").exists()):
            return False
        return any(any(self.path.glob(mark)) for mark in marks[kind])

    def own_files(self) -> list[Path]:
        """The run's own files, which no later command may overwrite with its results."""
        folders = (self.path / "models", self.path / "maps")
        return [*(self.path / name for name in OWN_FILES), *(file for folder in folders for file in folder.rglob("*"))]

    def write_json(self, name: str, value: Any) -> None:
        """Writes a JSON file with the keys in their order; NaN is an error."""
        write_text(self.path / name, json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n")

    def read_json(self, name: str) -> Any:
        """Reads a JSON file.

        Raises:
            UserError: the file is absent or damaged.
        """
        path = self.path / name
        try:
            return json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise UserError(
                f"{self.path} has no {name}, so it is not a finished run; `cxrlens run` makes one"
            ) from None
        except (OSError, ValueError) as error:
            raise UserError(f"{path} is damaged ({error}); run the study again to restore it") from error

    def cached(
        self, name: str, made_from: list[Any], make: Callable[[], dict[str, Any]], read: Callable[[dict[str, Any]], T]
    ) -> T:
        """A result that is computed once, and read from a JSON file for as long as its inputs are the same.

        Args:
            name: name of the JSON file in this folder.
            made_from: everything that the result depends on, as plain values.
            make: computes the record, of plain values. It is called where the file is absent, damaged or made from
                other inputs.
            read: turns the record into the result; raises KeyError, TypeError, ValueError or UserError where the
                record is damaged.
        """
        digest = digest_of_inputs(made_from)
        try:
            record = self.read_json(name)
            if record["made_from"] == digest:
                return read(record)
        except (UserError, KeyError, TypeError, ValueError):
            pass
        record = {"made_from": digest, **make()}
        # A folder that cannot be written, such as another person's run, still gives the result.
        with suppress(UserError):
            self.write_json(name, record)
        return read(record)

    def write_table(self, path: Path, table: pd.DataFrame) -> None:
        """Writes a CSV file with numbers in full precision."""
        write_atomically(path, lambda draft: write_csv(draft, table))

    def read_table(self, path: Path) -> pd.DataFrame:
        """Reads a CSV file of a run, see `read_csv`.

        Raises:
            UserError: the file is absent or damaged.
        """
        try:
            return read_csv(path)
        except FileNotFoundError:
            raise UserError(f"{path} is missing: `cxrlens run` with the same study makes it") from None
        except (OSError, ValueError) as error:
            raise UserError(f"{path} is damaged ({error}); delete it and run the study again") from error


def digest_of_inputs(made_from: list[Any]) -> str:
    """SHA-256 of plain values and of the version of cxrlens."""
    return hashlib.sha256(json.dumps([__version__, *made_from], sort_keys=True).encode()).hexdigest()


def write_csv(path: Path, table: pd.DataFrame) -> None:
    """Writes a table as CSV that `read_csv` reads back unchanged: full precision, an empty cell for unknown."""
    returns = any("\r" in cell for name in table for cell in table[name].tolist() if isinstance(cell, str))
    quoting = csv.QUOTE_NONNUMERIC if returns else csv.QUOTE_MINIMAL  # QUOTE_MINIMAL does not quote a lone "\r"
    text = table.to_csv(index=False, lineterminator="\n", quoting=quoting)
    path.write_text(text, encoding="utf-8", errors=PERCENT, newline="\n")


def read_csv(path: Path) -> pd.DataFrame:
    """Reads a table that `write_csv` wrote, with column types from their names and not from guesses.

    Text stays unchanged: the views "01" and "1" differ, and a model, site or patient may be called "18", "007", "NA" or
    "null". Columns in `NUMBERS` are int64, or float64 where a cell is empty or has a fraction. Columns in `FLAGS` are
    bool. An empty cell of text is None. Any other column is float64 if every filled cell is a float as `write_csv`
    writes it ("1.0"), else text.

    Raises:
        OSError: the file cannot be read.
        ValueError: the file is not such a table, or a cell of a column of numbers is not a number.
    """
    cells = pd.read_csv(path, dtype=str, keep_default_na=False, na_filter=False, encoding="utf-8")
    return pd.DataFrame({name: _typed(str(name), cells[name].tolist()) for name in cells}, columns=cells.columns)


def _typed(name: str, cells: list[str]) -> pd.Series:
    if name in FLAGS:
        if wrong := {*cells} - {"True", "False"}:
            raise ValueError(f"the column {name} holds True or False; got {sorted(wrong)[0]!r}")
        return pd.Series([cell == "True" for cell in cells], dtype=bool)
    if name in NUMBERS or (name not in TEXTS and _floats(cells)):
        if cells and all(cell.removeprefix("-").isdecimal() for cell in cells):
            return pd.Series([int(cell) for cell in cells], dtype="int64")
        return pd.Series([float(cell) if cell else float("nan") for cell in cells], dtype="float64")
    return pd.Series([cell or None for cell in cells], dtype=object)


def _floats(cells: list[str]) -> bool:
    """Whether some cells are filled, and all of them hold floats as Python writes them: "1.0", not "1" or "1.10"."""
    filled = {*cells} - {""}
    return bool(filled) and all(_FLOAT.fullmatch(cell) and repr(float(cell)) == cell for cell in filled)
