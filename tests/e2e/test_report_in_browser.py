"""The page in a real browser: it opens from a folder of any name, asks nobody, and works by keys alone."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cxrlens.report.page import page
from support.synthetic_report_data import EVIL, made

sync_api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed: pip install '.[browser]'")
axe = pytest.importorskip(
    "axe_playwright_python.sync_playwright", reason="axe is not installed: pip install '.[browser]'"
)
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
WIDTHS = {"wide": (1280, 900), "phone": (390, 844)}


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pages") / "Mes études, n° 1 & 2" / "rapport final é.html"
    path.parent.mkdir()
    names = {"weak": 0.3, "strong": 1.0, EVIL: 0.1}
    made_up = made(
        images=24, models=names, size=64, notes=EVIL, flags=("strong",), leaking=2, name="röntgen {} " + EVIL
    )
    path.write_text(page(made_up), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine (looked for chromium, chromium-browser, google-chrome)")
    with sync_api.sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()


class Opened:
    """A page, with what it complained of and whom it asked."""

    def __init__(self, browser: Any, report: Path, width: str, **options: Any) -> None:
        size = WIDTHS[width]
        self.page = browser.new_page(viewport={"width": size[0], "height": size[1]}, **options)
        self.said: list[str] = []
        self.asked: list[str] = []
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("dialog", lambda dialog: (self.said.append(dialog.message), dialog.dismiss()))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.goto(report.as_uri())
        self.page.evaluate("Promise.all([...document.images].map((image) => image.decode()))")

    def __getattr__(self, name: str) -> Any:
        return getattr(self.page, name)

    def text(self, selector: str) -> str:
        return self.page.locator(selector).first.inner_text()

    def matrix(self) -> list[int]:
        return [int(self.text(f"#g-{cell}")) for cell in ("tp", "fn", "fp", "tn")]

    def focused(self) -> str:
        return self.page.evaluate("document.activeElement.id || document.activeElement.ariaLabel || ''")


@pytest.fixture(params=list(WIDTHS))
def opened(request: pytest.FixtureRequest, browser: Any, report: Path) -> Iterator[Opened]:
    result = Opened(browser, report, request.param)
    yield result
    result.close()


@pytest.fixture
def wide(browser: Any, report: Path) -> Iterator[Opened]:
    result = Opened(browser, report, "wide")
    yield result
    result.close()


def test_it_opens_without_a_word_to_anybody_and_every_picture_shows(opened: Opened) -> None:
    assert opened.said == [] and [url for url in opened.asked if not url.startswith(("file:", "data:"))] == []
    pictures = opened.evaluate("[...document.images].map((image) => image.naturalWidth)")
    assert len(pictures) >= 24 + 13 and min(pictures) > 0
    assert opened.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


@pytest.mark.parametrize("width", WIDTHS)
def test_an_accessibility_checker_finds_nothing(browser: Any, report: Path, width: str) -> None:
    opened = Opened(browser, report, width, bypass_csp=True)  # axe is a script, and the page's own policy allows none
    opened.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
    opened.locator("#g-lungs").check()
    result = axe.Axe().run(opened.page).response
    opened.close()
    assert len(result["passes"]) > 30
    assert [(each["id"], each["nodes"][0]["html"][:90]) for each in result["violations"]] == []


def test_nothing_is_wider_than_the_window_with_all_unfolded(opened: Opened) -> None:
    opened.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
    assert opened.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def test_text_from_data_is_shown_as_text(wide: Opened) -> None:
    output = wide.text("#g-facts")
    assert EVIL in output and wide.text("#g-name") == "röntgen 0 " + EVIL
    assert not wide.evaluate("[...document.querySelectorAll('img')].some((each) => each.getAttribute('src') === 'x')")
    assert EVIL in wide.locator("#g-model").inner_text()


def test_four_answers_are_on_the_first_screen(opened: Opened) -> None:
    for answer in opened.locator(".answers > div").all()[1:]:
        box = answer.bounding_box()
        assert box["y"] < opened.viewport_size["height"], answer.inner_text()


def test_the_gallery_works_by_keys_alone(wide: Opened) -> None:
    wide.locator("#g-source").focus()
    while not wide.focused().startswith("röntgen 0"):
        before = wide.focused()
        wide.keyboard.press("Tab")
        assert wide.focused() != before
    wide.keyboard.press("ArrowRight")
    assert wide.focused().startswith("röntgen 1 ") and wide.text("#g-name").startswith("röntgen 1 ")
    outline = wide.evaluate("getComputedStyle(document.activeElement).outlineWidth")
    assert outline == "3px"
    columns = wide.evaluate(
        "getComputedStyle(document.getElementById('g-thumbs')).gridTemplateColumns.split(' ').length"
    )
    wide.keyboard.press("ArrowDown")
    assert wide.text("#g-name").startswith(f"röntgen {1 + columns} ")
    wide.keyboard.press("End")
    assert wide.text("#g-name").startswith("röntgen 23 ")
    wide.keyboard.press("Enter")
    assert wide.focused() == "g-viewer"
    wide.keyboard.press("ArrowLeft")
    assert wide.text("#g-name").startswith("röntgen 22 ")
    wide.keyboard.press("Escape")
    assert wide.focused().startswith("röntgen 22 ")


def test_the_threshold_moves_the_matrix_and_what_is_wrong(wide: Opened) -> None:
    start, count = wide.matrix(), wide.text("#g-count")
    assert sum(start) == 24 and f"{start[1] + start[2]} of them misclassified" in count
    assert wide.text("#g-threshold-value") == "0.400"
    slider = wide.locator("#g-threshold")
    slider.focus()
    wide.keyboard.press("Home")
    assert wide.matrix() == [12, 0, 12, 0] and "Sensitivity 1.00, specificity 0.00" in wide.text("#g-rates")
    wide.keyboard.press("End")
    assert wide.matrix() == [0, 12, 0, 12]
    wide.locator("#g-model").select_option("0")
    assert wide.text("#g-threshold-value") == "0.400"  # a threshold is a model's own
    wide.locator("#g-model").select_option("1")
    assert wide.text("#g-threshold-value") == "1.000"
    wide.locator("#g-reset").click()
    assert wide.matrix() == start and wide.text("#g-count") == count


@pytest.mark.parametrize(("shift", "shown"), [(-15, "2.0e-07"), (15, "1 − 4.6e-07"), (60, "1 − ")])
def test_a_network_that_is_sure_of_all_is_called_as_its_table_says(
    browser: Any, tmp_path: Path, shift: float, shown: str
) -> None:
    usual, sure = (made(images=24, models={"m": 0.8}, shift=each) for each in (0, shift))
    matrices = []
    for name, report in (("usual", usual), ("sure", sure)):
        path = tmp_path / f"{name}.html"
        path.write_text(page(report), encoding="utf-8")
        opened = Opened(browser, path, "wide")
        matrices.append(opened.matrix())
        threshold, first = opened.text("#g-threshold-value"), opened.text("#g-thumbs li .caption")
        opened.close()
    assert matrices[0] == matrices[1] and min(matrices[0][0], matrices[0][3]) > 0
    assert threshold.startswith(shown) and "P 0.00," not in first and "P 1.00," not in first


def test_filters_choose_and_say_how_many(wide: Opened) -> None:
    shown = wide.locator("#g-thumbs li")
    wide.locator("#g-wrong").check()
    _, missed, false, _ = wide.matrix()
    assert shown.count() == missed + false > 0 and wide.locator("#g-thumbs li:not(.wrong)").count() == 0
    wide.locator("#g-wrong").uncheck()
    wide.locator("#g-sure").check()
    assert shown.count() == 6
    wide.locator("#g-sure").uncheck()
    wide.locator("#g-label").select_option("1")
    assert shown.count() == 12
    wide.locator("#g-view").select_option("PA")  # the made-up negatives are PA
    assert shown.count() == 0 and wide.text("#g-count") == "No image matches the filter."
    wide.locator("#g-view").select_option("AP")
    wide.locator("#g-order").select_option("high")
    values = [float(text.split("P ")[1].split(",")[0]) for text in shown.all_inner_texts()]
    assert values == sorted(values, reverse=True) and len(values) == 12


def test_maps_opacity_and_outlines_can_be_seen_and_taken_away(wide: Opened) -> None:
    painted = """() => {
        const c = document.getElementById("g-canvas");
        const bytes = c.getContext("2d").getImageData(0, 0, c.width, c.height).data;
        return [c.width, bytes.filter((v, i) => i % 4 === 3 && v > 0).length];
    }"""
    settled = "new Promise((done) => setTimeout(done, 150))"
    wide.evaluate(settled)
    side, some = wide.evaluate(painted)
    assert side == 56 and 0 < some < 56 * 56  # coarse maps made smooth; no evidence is clear
    wide.locator("#g-method").select_option("saliency")
    wide.evaluate(settled)
    assert wide.evaluate(painted)[0] == 64
    wide.locator("#g-method").select_option("")
    assert wide.evaluate(painted)[1] == 0
    wide.locator("#g-opacity").focus()
    wide.keyboard.press("Home")
    assert wide.evaluate("getComputedStyle(document.getElementById('g-canvas')).opacity") == "0"
    outline = wide.locator("#g-outline")
    assert not outline.is_visible()
    wide.locator("#g-lungs").check()
    assert outline.is_visible()


def test_print_opens_what_is_folded_and_leaves_the_grid(wide: Opened) -> None:
    assert wide.locator("details:not([open])").count() > 0
    wide.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    wide.emulate_media(media="print")
    assert wide.locator("details:not([open])").count() == 0
    hidden = ("nav", ".controls", "#g-viewer")
    assert not any(wide.locator(each).first.is_visible() for each in hidden)
    assert wide.locator("#g-thumbs li").count() == 24 and wide.locator("#g-thumbs .caption").first.is_visible()
    wide.evaluate("window.dispatchEvent(new Event('afterprint'))")
    assert wide.locator("details:not([open])").count() > 0
