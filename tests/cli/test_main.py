"""The command line as a person meets it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from cxrlens.cli import main as entry


def run(*words: str, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(sys, "argv", ["cxrlens", *words])
    with pytest.raises(SystemExit) as stopped:
        entry.main()
    return int(stopped.value.code or 0)


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys; import cxrlens.cli.main as m; sys.argv = ['cxrlens', '--help']\n"
        "try: m.main()\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'pandas', 'numpy', 'matplotlib', 'sklearn', 'pydantic'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert all(name in done.stdout for name in ("run", "predict", "data", "augment-search"))


def test_a_users_error_is_one_paragraph_without_a_traceback(monkeypatch, capsys, tmp_path: Path) -> None:
    assert run("run", str(tmp_path / "gone.toml"), monkeypatch=monkeypatch) == 2
    told = capsys.readouterr()
    assert told.err.startswith("error: cannot read the file") and "Traceback" not in told.err and not told.out


def test_a_dry_run_says_what_would_run_and_makes_no_folder(monkeypatch, capsys, tmp_path: Path) -> None:
    study = tmp_path / "s.toml"
    study.write_text(
        'name = "s"\n[data]\nsource = "phantom"\npatients = 12\nsize = 64\n[images]\nsize = 64\n'
        '[[models]]\nname = "m"\nbackbone = "tf_efficientnet_lite0"\nhead = "linear"\nepochs = 1\n'
    )
    code = run("run", str(study), "--out", str(tmp_path / "out"), "--dry-run", monkeypatch=monkeypatch)
    out = " ".join(capsys.readouterr().out.split())
    assert code == 0 and "What would run" in out and "in all" in out and "memory at most" in out
    assert not (tmp_path / "out").exists()
