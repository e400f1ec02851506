"""Renews the lock: newest releases of everything, then every check and test on them, and what broke.

`make lock` runs this. `requirements/demo.txt`, `dev.txt` and `docs.txt` pin every package by version and hash, for
Python 3.11 to 3.13 on Linux, macOS and Windows; uv makes them from the ranges in `pyproject.toml`. The new lock is
tried in environments of its own. It replaces the old one where all passes, or with `--accept`; otherwise it stays
beside that environment, to mend against.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).parents[1]
LOCKS = {
    "dev": ["pyproject.toml", "--all-extras", "--group", "build"],
    "demo": ["pyproject.toml", "--group", "build"],
    "docs": ["--group", "docs"],  # without the package, and so without PyTorch: the site reads the code as text
}
CHECKS = {
    "lint": ["ruff", "check", "."],
    "format": ["ruff", "format", "--check", "."],
    "types": ["pyrefly", "check"],
    "layers": ["lint-imports"],
    "tests": ["pytest"],
}
HEADER = (
    "# Every package by version and hash, from pyproject.toml's ranges. Renewed by `make lock`; not edited by hand.\n"
)


def main() -> int:
    """Returns 0 where everything passes on the newest releases."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--accept", action="store_true", help="replace the lock although something broke")
    parser.add_argument("--only-lock", action="store_true", help="write the lock and try nothing")
    parser.add_argument("--keep", action="store_true", help="keep today's versions where the ranges still allow them")
    parser.add_argument("--constraint", type=Path, help="a file of further limits, such as torch<=2.14.1")
    options = parser.parse_args()
    work = ROOT / "build" / "newest"
    shutil.rmtree(work, ignore_errors=True)
    (work / "requirements").mkdir(parents=True)
    resolve(work, options.keep, options.constraint)
    changes = {name: changed(ROOT / "requirements" / name, work / "requirements" / name) for name in names()}
    for line in dict.fromkeys(line for lines in changes.values() for line in lines):
        print(line)
    if not any(changes.values()):
        print("nothing is newer than the lock")
    broken = [] if options.only_lock else failures(work)
    if broken and not options.accept:
        print(f"\nthe lock is as it was; the new one is in {work / 'requirements'}, installed in {work / '.venv'}")
    else:
        for name in names():
            shutil.copy(work / "requirements" / name, ROOT / "requirements" / name)
        print("\nrequirements/ renewed")
    print(f"broke: {', '.join(broken)}" if broken else "nothing broke")
    return 1 if broken else 0


def names() -> list[str]:
    """The lock's files."""
    return [f"{name}.txt" for name in LOCKS]


def resolve(work: Path, keep: bool, constraint: Path | None) -> None:
    """Writes the new lock's files below `work`; what the developers' has too has its version there in the others."""
    venv.create(work / "uv", with_pip=True)
    run([work / "uv" / "bin" / "python", "-m", "pip", "install", "--quiet", "uv"])
    for name, wanted in LOCKS.items():
        out = work / "requirements" / f"{name}.txt"
        if keep and (ROOT / "requirements" / out.name).exists():
            shutil.copy(ROOT / "requirements" / out.name, out)
        limits = [constraint] if constraint else []
        limits += [work / "requirements" / "dev.txt"] if name != "dev" else []
        run([
            work / "uv" / "bin" / "uv", "pip", "compile", *wanted, "--universal",
            "--python-version", "3.11", "--generate-hashes", "--no-header", "--no-annotate", "--quiet",
            *(part for limit in limits for part in ("--constraint", limit)), "--output-file", out,
        ])  # fmt: skip
        out.write_text(HEADER + out.read_text(encoding="utf-8").removeprefix(HEADER), encoding="utf-8")


def changed(before: Path, after: Path) -> list[str]:
    """One line for each package that came, went or has another version."""
    old, new = (pins(path) if path.exists() else {} for path in (before, after))
    both = sorted({*old, *new})
    return [
        f"{name}: {old.get(name, 'absent')} → {new.get(name, 'absent')}"
        for name in both
        if old.get(name) != new.get(name)
    ]


def pins(path: Path) -> dict[str, str]:
    """Package → its version, or versions where they differ by Python's."""
    found: dict[str, list[str]] = {}
    for name, version in re.findall(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)", path.read_text(encoding="utf-8"), re.MULTILINE):
        found.setdefault(name, []).append(version)
    return {name: " / ".join(versions) for name, versions in found.items()}


def failures(work: Path) -> list[str]:
    """Installs the new lock into environments of its own and names the checks that fail there."""
    python, docs = (work / name / "bin" / "python" for name in (".venv", "docs"))
    for path, *arguments in (
        (python, "--require-hashes", "-r", work / "requirements" / "dev.txt"),
        (python, "--no-deps", "--no-build-isolation", "-e", ROOT),
        (docs, "--require-hashes", "-r", work / "requirements" / "docs.txt"),
    ):
        if not path.exists():
            venv.create(path.parents[1], with_pip=True)
        if subprocess.run([path, "-m", "pip", "install", "--quiet", *arguments], check=False).returncode:
            return ["the installation"]
    broken = []
    for name, (tool, *arguments) in CHECKS.items():
        print(f"\n{name} on the newest releases", flush=True)
        if subprocess.run([work / ".venv" / "bin" / tool, *arguments], cwd=ROOT, check=False).returncode:
            broken.append(name)
    print("\nthe documentation's site on the newest releases", flush=True)
    if subprocess.run([docs, ROOT / "tools" / "docs_site.py"], check=False).returncode:
        broken.append("docs")
    return broken


def run(command: list[str | Path]) -> None:
    """Runs a command that has to succeed."""
    done = subprocess.run(command, cwd=ROOT, check=False)
    if done.returncode:
        sys.exit(f"failed: {' '.join(map(str, command))}")


if __name__ == "__main__":
    raise SystemExit(main())
