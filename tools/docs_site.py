"""Builds the documentation's site, build/site, and refuses it where anything is amiss: `make docs` runs this.

The pages in docs/ are plain Markdown, so that a code host shows them well. Two things differ on a site, and are done on
a copy, build/docs: what stands between the comments `<!-- reference: NAME -->` and `<!-- end of reference -->` becomes
mkdocstrings' full reference of NAME; and a link to a file outside docs/ leads to a copy of that file, a page with its
own links likewise. Zensical then builds the copy, strictly. What it does not refuse itself is refused here: a page that
the navigation lacks, or the other way round; a docstring that speaks of no parameter; a picture or link that leads
nowhere; anything that a browser would fetch from elsewhere.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
STAGE, SITE = ROOT / "build" / "docs", ROOT / "build" / "site"
OUTSIDE = "repository"
"""The folder of the site that holds copies of files outside docs/."""

FENCE = re.compile(r"(^```.*?^```$)", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"(\[(?:[^\[\]]|\[[^\]]*\])*\])\(([^)\s]+)\)")
REFERENCE = re.compile(r"<!-- reference: (\S+) -->.*?<!-- end of reference -->", re.DOTALL)


def stage(docs: Path, root: Path, out: Path) -> list[Path]:
    """Writes `out` anew and returns what was copied from outside `docs`, each relative to `root`."""
    shutil.rmtree(out, ignore_errors=True)
    shutil.copytree(docs, out)
    outside: list[Path] = []
    waiting = sorted(docs.rglob("*.md"))
    while waiting:
        page = waiting.pop()
        text = REFERENCE.sub(r"::: \1", page.read_text(encoding="utf-8"))
        text, found = linked(text, page, docs, root)
        for path in found:
            if path.relative_to(root) not in outside:
                outside.append(path.relative_to(root))
                copy = out / place(path, docs, root)
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(path, copy)
                waiting += [path] if path.suffix == ".md" else []
        (out / place(page, docs, root)).write_text(text, encoding="utf-8")
    return sorted(outside)


def place(path: Path, docs: Path, root: Path) -> Path:
    """Where a file is on the site."""
    return path.relative_to(docs) if path.is_relative_to(docs) else OUTSIDE / path.relative_to(root)


def linked(text: str, page: Path, docs: Path, root: Path) -> tuple[str, list[Path]]:
    """A page's text with its links as they are on the site, and the files outside `docs` that they lead to."""
    found: list[Path] = []

    def change(match: re.Match[str]) -> str:
        label, (address, mark, anchor) = match[1], match[2].partition("#")
        target = Path(os.path.normpath(page.parent / address))
        if re.match(r"[a-z]+:", match[2]) or not address or not target.is_relative_to(root):
            return match[0]
        if target.is_dir():  # a site shows no folders
            return label[1:-1]
        if not target.is_file():
            return match[0]
        if not target.is_relative_to(docs):
            found.append(target)
        here = place(page, docs, root).parent
        return f"{label}({Path(os.path.relpath(place(target, docs, root), here)).as_posix()}{mark}{anchor})"

    parts = FENCE.split(text)
    return "".join(part if part.startswith("```") else LINK.sub(change, part) for part in parts), found


def navigation_faults(settings: str, stage: Path) -> list[str]:
    """Pages of the navigation that are not there, and pages that it lacks; what is outside docs/ need not be in it."""
    named = set(re.findall(r"^ +- .+: (\S+\.md)$", settings, re.MULTILINE))
    there = {path.relative_to(stage).as_posix() for path in stage.rglob("*.md")}
    inside = {path for path in there if not path.startswith(f"{OUTSIDE}/")}
    return [
        *(f"the navigation names {path}, which is not there" for path in sorted(named - there)),
        *(f"{path} is not in the navigation" for path in sorted(inside - named)),
    ]


class Addresses(HTMLParser):
    """What a page leads to (`links`) and what a browser fetches for it (`fetched`)."""

    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.fetched: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Takes the addresses of one tag."""
        for name, value in attrs:
            if value and name == "href" and tag == "a":
                self.links.append(value)
            elif value and (name == "src" or (name == "href" and tag == "link")):
                self.fetched.append(value)


def page_faults(page: Path, site: Path) -> list[str]:
    """Addresses of a built page that lead nowhere, or for which a browser would ask another server."""
    addresses, found = Addresses(), []
    addresses.feed(page.read_text(encoding="utf-8"))
    for address in (*addresses.links, *addresses.fetched):
        parts = urlsplit(address)
        if parts.scheme or parts.netloc:
            if address in addresses.fetched and parts.scheme != "data":
                found.append(f"fetches {address}")
        elif (
            parts.path
            and not (site if parts.path.startswith("/") else page.parent)
            .joinpath(unquote(parts.path).lstrip("/"))
            .exists()
        ):
            found.append(f"leads to {address}, which is not there")
    return [f"{page.relative_to(site)} {each}" for each in dict.fromkeys(found)]


def build() -> list[str]:
    """Builds the site; returns what is amiss."""
    for copied in stage(DOCS, ROOT, STAGE):
        print(f"copied from outside docs/: {copied}")
    shutil.rmtree(SITE, ignore_errors=True)
    command = [sys.executable, "-m", "zensical", "build", "--strict", "--clean"]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    said = re.sub(r"\x1b\[[0-9;]*m", "", done.stdout.decode("utf-8", "replace"))
    print(said.rstrip())
    if done.returncode:
        return ["the build failed"]
    warnings = [
        line for line in said.splitlines() if re.match(r"(griffe|mkdocstrings|mkdocs_autorefs|warning)\b", line, re.I)
    ]
    pages = [path for path in sorted(SITE.rglob("*.html")) if path.name != "404.html"]  # its addresses start at a host
    settings = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    return [
        *warnings,
        *navigation_faults(settings, STAGE),
        *(each for page in pages for each in page_faults(page, SITE)),
    ]


if __name__ == "__main__":
    faults = build()
    print("\n".join(faults) if faults else f"nothing amiss: {SITE.relative_to(ROOT)}/index.html")
    raise SystemExit(1 if faults else 0)
