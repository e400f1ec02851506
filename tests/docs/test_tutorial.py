"""The docs hold: the notebook runs, every command is one that exists, every link leads somewhere."""

from __future__ import annotations

import re
import shlex
import tomllib
from itertools import pairwise
from pathlib import Path
from typing import Any

import nbformat
import pytest
import typer.main
from nbclient import NotebookClient

from cxrlens.cli.main import app
from cxrlens.study import Study

ROOT = Path(__file__).parents[2]
NOTEBOOK = ROOT / "docs" / "tutorial.ipynb"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"`(cxrlens [^`]+)`")
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


def by_page(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


# The notebook


@pytest.fixture(scope="module")
def executed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path]:
    """The notebook after its run, and the folder that its temporary files went to."""
    folder = tmp_path_factory.mktemp("notebook")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", str(folder))
        patch.setenv("OMP_NUM_THREADS", "1")  # tiny networks, whose threads would mostly wait for each other
        patch.setenv("IPYTHONDIR", str(folder / "ipython"))
        patch.setenv("JUPYTER_RUNTIME_DIR", str(folder / "jupyter"))
        patch.setenv("JUPYTER_CONFIG_DIR", str(folder / "jupyter"))
        client = NotebookClient(nbformat.read(NOTEBOOK, 4), timeout=300, kernel_name="python3")
        return client.execute(cwd=str(folder)), folder


def shown(executed: tuple[Any, Path], cell: str) -> str:
    """What a cell printed, and its last line's value."""
    result = next(each for each in executed[0].cells if each.id == cell)
    return "\n".join(each.get("text") or each.get("data", {}).get("text/plain", "") for each in result.outputs)


def test_the_notebook_is_kept_without_outputs_and_with_ids_that_stay() -> None:
    cells = nbformat.read(NOTEBOOK, 4).cells
    assert not any(cell.get("outputs") or cell.get("execution_count") for cell in cells)
    ids = [cell.id for cell in cells]
    assert len(set(ids)) == len(ids) and not any(re.fullmatch(r"[0-9a-f]{8}(-.*)?", each) for each in ids)
    for before, cell in pairwise(cells):
        assert cell.cell_type != "code" or before.cell_type == "markdown" or cell.id == "import", cell.id


def test_the_notebook_splits_by_patient_and_asks_what_tells_the_label(executed: tuple[Any, Path]) -> None:
    assert "phantom-0000-1.png   P0000" in shown(executed, "folder")
    rows = [line.split()[1:] for line in shown(executed, "check").splitlines() if line.startswith("0 ")]
    fold, *counts, images, patients = (int(word) for row in rows for word in row if word.isdigit())
    assert (fold, images, patients) == (0, 0, 0) and len(counts) == 4 and sum(counts) == 63
    assert {"duplicates", "file_facts", "metadata_only", "patient_leak", "prevalence"} <= set(
        shown(executed, "findings").split()
    )


def test_the_notebook_trains_compares_and_predicts(executed: tuple[Any, Path]) -> None:
    table = shown(executed, "run")
    assert re.search(r"frozen +3372289 +1281 ", table) and re.search(r"all layers +3372289 +3372289 ", table)
    assert re.search(r"frozen +ImageNet, all layers +-?0\.\d+ +-?\d", shown(executed, "pairs"))
    assert "2 models on 63 images of 40 patients" in shown(executed, "open")
    assert shown(executed, "models") == "['ImageNet, frozen', 'ImageNet, all layers']"
    assert "[b, 1, 64, 64] in [0, 1] to logits [b]" in shown(executed, "model")
    assert shown(executed, "predict").count("None") == 4  # no problem and no warning
    assert "PNG" not in shown(executed, "explain") and "Maps (grad_cam) of other" in shown(executed, "explain")
    assert re.match(r"Attribution by grad_cam: 1 map of 2 x 2 of backbone", shown(executed, "maps"))


def test_the_notebook_computes_the_auc_of_the_table_from_the_images_and_the_network(executed: tuple[Any, Path]) -> None:
    auc = re.search(r"ImageNet, frozen +AUC (0\.\d+) \[(0\.\d+), (0\.\d+)\]", shown(executed, "open"))
    assert auc and shown(executed, "interval").startswith(f"AUC {auc[1]} [{auc[2]}, {auc[3]}] (95%, by patients")
    assert re.match(r"AUC difference [+-]0\.\d+ \[", shown(executed, "difference"))
    rows = re.search(r"torch\.Size\(\[(\d+), 1, 64, 64\]\), torch\.Size\(\[\1\]\)", shown(executed, "images"))
    assert rows and "(torch.Size([1, 1, 64, 64]), 0." in shown(executed, "load")


@pytest.mark.parametrize(
    "line",
    [
        'run = cx.run("my-study.toml", data="xrays")', 'run = cx.Run.open("runs/my-study")\nrun', "run.models",
        "run.table()", "run.comparisons()", 'model = run.model("ImageNet, frozen")', "x = cx.load_image(",
        ", size=model.size)", 'x, y = run.images("validation", model=model.name)',
        'maps = cx.attribute(model, x, "grad_cam")', "run.predict(", "run.explain(", "run.audit()", "audit.results",
        'run.evaluate(data="other")', "run.report(names=False)", "cx.auc_interval(y, ", "cx.auc_difference(y, ",
    ],
)  # fmt: skip
def test_the_notebook_shows_the_whole_interface(line: str) -> None:
    code = "\n".join(cell.source for cell in nbformat.read(NOTEBOOK, 4).cells if cell.cell_type == "code")
    assert line in code


def test_the_notebook_judges_elsewhere_audits_and_reports(executed: tuple[Any, Path]) -> None:
    assert len(re.findall(r"(?:frozen|all layers) +0\.\d+ +0\.\d+", shown(executed, "evaluate"))) == 2
    assert all(f"{name}: " in shown(executed, "audit") for name in ("ImageNet, frozen", "ImageNet, all layers"))
    assert {"corners", "lungs_removed", "map_trust", "planted_marker"} <= set(shown(executed, "audit-findings").split())
    (run,) = executed[1].glob("cxrlens-*/runs/my-study")
    names = ("report.html", "report-shared.html", "without-images.html")
    report, shared, bare = ((run / name).read_text(encoding="utf-8") for name in names)
    assert 'id="gallery"' in report and "phantom-0004-1.png" in report
    assert 'id="gallery"' in shared and "phantom-0004-1" not in shared and '"image 1' in shared
    assert 'id="gallery"' not in bare


# Commands


def commands(page: Path) -> list[tuple[list[str], bool]]:
    """The words of every command, and whether it is whole: in a block, not named within a sentence."""
    text = page.read_text(encoding="utf-8")
    blocks = [block.replace("\\\n", " ") for language, block in FENCE.findall(text) if language in ("", "sh", "bash")]
    lines = [re.sub(r"^\s*(\$ )?(\S*/)?(?=cxrlens )", "", line) for block in blocks for line in block.splitlines()]
    result = [(shlex.split(line, comments=True), True) for line in lines if line.startswith("cxrlens ")]
    named = [" ".join(each.split()) for each in INLINE.findall(FENCE.sub("", text))]
    return [*result, *((shlex.split(each), False) for each in named)]


def fault(words: list[str], whole: bool = True) -> str | None:
    """What the command line would say of a command's words, without running anything."""
    command, name, rest = typer.main.get_command(app), "cxrlens", words[1:]
    if rest[-1:] == ["--help"]:
        rest, whole = rest[:-1], False
    while hasattr(command, "commands"):
        if not rest and not whole:
            return None
        name, *rest = rest or [""]
        if name not in command.commands:
            return f"no command '{name}' in {' '.join(words)}"
        command = command.commands[name]
    try:
        command.make_context(name, rest)
    except Exception as error:  # typer's, whose home moved between its versions
        if whole or type(error).__name__ != "MissingParameter":
            return f"{' '.join(words)}: {error}"
    return None


@pytest.mark.parametrize("page", PAGES, ids=by_page)
def test_every_command_in_the_docs_is_one_that_exists(page: Path) -> None:
    assert [output for each in commands(page) if (output := fault(*each))] == []


def test_commands_are_found_and_a_wrong_one_is_told() -> None:
    told = {page.name: sum(whole for _, whole in commands(page)) for page in PAGES}
    assert told["README.md"] >= 5 and told["commands.md"] >= 12 and told["tutorial.md"] >= 10
    assert fault(["cxrlens", "data", "check", "a.toml"]) is None
    assert "no command 'chekc'" in str(fault(["cxrlens", "data", "chekc", "a.toml"]))
    assert "--dta" in str(fault(["cxrlens", "run", "a.toml", "--dta", "x"]))
    assert fault(["cxrlens", "run"]) is not None and fault(["cxrlens", "run"], whole=False) is None


def test_every_study_in_the_docs_loads() -> None:
    texts = [
        block for page in PAGES for kind, block in FENCE.findall(page.read_text(encoding="utf-8")) if kind == "toml"
    ]
    studies = [Study.of(tomllib.loads(text)) for text in texts if "[[models]]" in text and "[data]" in text]
    assert len(studies) >= 2


# Links


def anchors(page: Path) -> set[str]:
    """GitHub's names of a page's headings."""
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", page.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def broken(page: Path, text: str) -> list[str]:
    """The relative links of a text that lead nowhere."""
    result = []
    for link in LINK.findall(FENCE.sub("", text)):
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        if re.match(r"[a-z]+:", link):
            continue
        if not target.exists() or (anchor and anchor not in anchors(target)):
            result.append(link)
    return result


@pytest.mark.parametrize("page", [*PAGES, NOTEBOOK], ids=by_page)
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    if page == NOTEBOOK:
        text = "\n".join(cell.source for cell in nbformat.reads(text, 4).cells if cell.cell_type == "markdown")
    assert broken(page, text) == []


def test_a_link_to_nothing_is_told() -> None:
    text = "[a](numbers.md) [b](gone.md) [c](numbers.md#the-cohort) [d](numbers.md#no-such) [e](https://example.org)"
    assert broken(ROOT / "docs" / "page.md", text) == ["gone.md", "numbers.md#no-such"]
