"""The site of the docs: the Python page is the code's, links go somewhere, nothing is asked of another server."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from typing import Any

import pytest

import cxrlens

ROOT = Path(__file__).parents[2]


def load(name: str) -> Any:
    spec = importlib.util.spec_from_file_location(name, ROOT / "tools" / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def site() -> Any:
    return load("docs_site")


def test_the_page_of_the_python_interface_is_what_the_code_says() -> None:
    tool, page = load("api_page"), (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    assert page == tool.page(), "python tools/api_page.py writes docs/api.md anew"
    assert sorted(re.findall(r"^### `(\w+)`$", page, re.MULTILINE)) == sorted(cxrlens.__all__)
    assert "0x" not in page  # no address of an object


def test_every_marked_name_is_one_that_a_reader_of_the_sources_finds(site: Any) -> None:
    page = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    marked = [match[1].removeprefix("cxrlens.") for match in site.REFERENCE.finditer(page)]
    registries = {"METHODS", "PRESETS", "PROBES", "SOURCES"}
    assert set(marked) == set(cxrlens.__all__) - registries
    assert all(f"`{name}`" in page for name in registries)
    assert page.count("<!-- reference") == page.count("<!-- end of reference -->") == len(marked)


def test_every_page_is_in_the_navigation_and_every_entry_is_a_page(site: Any, tmp_path: Path) -> None:
    settings = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    assert site.navigation_faults(settings, ROOT / "docs") == []
    for name in ("a.md", "b/c.md", "repository/README.md"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert site.navigation_faults("nav:\n  - A: a.md\n  - D: d.md\n", tmp_path) == [
        "the navigation names d.md, which is not there",
        "b/c.md is not in the navigation",
    ]


def test_a_page_is_staged_with_its_references_and_what_it_links_to_outside(site: Any, tmp_path: Path) -> None:
    docs, out = tmp_path / "docs", tmp_path / "out"
    (docs / "how-to").mkdir(parents=True)
    (tmp_path / "src" / "part").mkdir(parents=True)
    (tmp_path / "NOTES.md").write_text("[a](docs/a.md#top) [card](src/part/card.md)\n")
    (tmp_path / "src" / "part" / "card.md").write_text("[notes](../../NOTES.md)\n")
    fence = "```\n[x](../NOTES.md)\n```\n"
    (docs / "a.md").write_text(
        f"[n](../NOTES.md#x) [folder](../src) [gone](../gone.md) [web](https://example.org) [here](#top)\n{fence}"
        "<!-- reference: cxrlens.run -->\n\n```\nrun()\n```\n\n<!-- end of reference -->\nafter\n"
    )
    (docs / "how-to" / "b.md").write_text("[![p](../p.png)](../a.md) [n](../../NOTES.md)\n")
    (docs / "p.png").touch()
    assert site.stage(docs, tmp_path, out) == [Path("NOTES.md"), Path("src/part/card.md")]
    assert (out / "a.md").read_text() == (
        "[n](repository/NOTES.md#x) folder [gone](../gone.md) [web](https://example.org) [here](#top)\n"
        f"{fence}::: cxrlens.run\nafter\n"
    )
    assert (out / "how-to" / "b.md").read_text() == "[![p](../p.png)](../a.md) [n](../repository/NOTES.md)\n"
    assert (out / "repository" / "NOTES.md").read_text() == "[a](../a.md#top) [card](src/part/card.md)\n"
    assert (out / "repository" / "src" / "part" / "card.md").read_text() == "[notes](../../NOTES.md)\n"
    assert (out / "p.png").exists()
    (docs / "p.png").unlink()
    site.stage(docs, tmp_path, out)
    assert not (out / "p.png").exists()  # nothing of an earlier build stays


def test_a_built_page_may_lead_elsewhere_but_fetches_nothing_from_there(site: Any, tmp_path: Path) -> None:
    page = tmp_path / "how-to" / "a.html"
    page.parent.mkdir()
    (tmp_path / "b c.html").touch()
    page.write_text(
        '<link rel="stylesheet" href="https://fonts.example.org/a.css"><script src="//cdn.example.org/a.js"></script>'
        '<img src="gone.png"><img src="data:image/png;base64,x">'
        '<a href="../b%20c.html#x">b</a><a href="../d.html">d</a>'
        '<a href="https://example.org">web</a><a href="#top">top</a>'
    )
    assert site.page_faults(page, tmp_path) == [
        "how-to/a.html leads to ../d.html, which is not there",
        "how-to/a.html fetches https://fonts.example.org/a.css",
        "how-to/a.html fetches //cdn.example.org/a.js",
        "how-to/a.html leads to gone.png, which is not there",
    ]


def test_pages_are_plain_markdown_that_a_code_host_shows(site: Any) -> None:
    noise = re.compile(r"^(!!! |\?\?\? |::: |=== \"|--8<--)|\{: ?[.#]", re.MULTILINE)
    for page in (ROOT / "docs").rglob("*.md"):
        assert not noise.search(page.read_text(encoding="utf-8")), page.name
