"""The page: it stands alone, and what comes from data is text."""

import re
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from markupsafe import escape

from cxrlens.evaluate.evaluate import evaluate
from cxrlens.report.html import CAPTIONS, page

EVIL = "<script>alert('x')</script> & \"quoted\""


@pytest.fixture(scope="module")
def results() -> dict:
    draws = np.random.default_rng(0)
    labels = (np.arange(40) % 3 > 0).astype(float)
    images = [str(number) for number in range(40)]
    tables = []
    for name, effect in ((EVIL, 0.5), ("strong", 3.0)):
        logit = effect * labels + draws.normal(size=40)
        told = {"model": name, "seed": 0, "fold": 0, "image": images, "patient": images, "label": labels}
        tables.append(pd.DataFrame({**told, "logit": logit, "probability": 1 / (1 + np.exp(-logit))}))
    table = pd.concat(tables, ignore_index=True)
    judged = evaluate(table, table, pd.DataFrame({"image": images}), draws=100).to_json()
    return {
        **judged, "study": "s", "question": EVIL, "warnings": [EVIL], "skipped": [{"name": "gone", "reason": EVIL}],
        "cohort": {"images": 1234, "missing": ["a", "b"]},
    }  # fmt: skip


SPECTRUM = {
    "preset": "modern", "iterations": 4, "seeds": 3,
    "models": [
        {"name": name, **{key: {"mean": 0.1, "low": 0.05, "high": 0.15} for key in ("frequency", "colour")}}
        for name in (EVIL, "strong")
    ],
    "differences": {
        "frequency": [{"a": EVIL, "b": "strong", "difference": 0.02, "low": 0.01, "high": 0.03, "p_holm": 0.01}],
        "colour": [{"a": EVIL, "b": "strong", "difference": 0.0, "low": -0.1, "high": 0.1, "p_holm": 0.9}],
    },
}  # fmt: skip


class Tags(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


def test_it_asks_no_host_and_runs_nothing_of_the_data(results: dict) -> None:
    text = page(results, {"spectrum": SPECTRUM}, dict.fromkeys(CAPTIONS, b"png"))
    tags = Tags(text).tags
    assert not [tag for tag, _ in tags if tag in ("script", "link", "iframe")]
    sources = [told[key] for _, told in tags for key in ("src", "href") if key in told]
    assert all(each.startswith(("data:image/png;base64,", "#")) for each in sources)
    assert "<script>" not in text and text.count("&lt;script&gt;") >= 4


def test_every_link_has_its_section_and_every_picture_its_words(results: dict) -> None:
    tags = Tags(page(results, {"spectrum": SPECTRUM}, dict.fromkeys(CAPTIONS, b"png"))).tags
    ids = {told["id"] for _, told in tags if "id" in told}
    assert ids == {told["href"][1:] for _, told in tags if "href" in told} and len(ids) == 4
    pictures = [told for tag, told in tags if tag == "img"]
    assert len(pictures) == len(CAPTIONS) and all(len(told["alt"] or "") > 20 for told in pictures)


def test_what_was_not_explained_is_not_on_it(results: dict) -> None:
    tags = Tags(page(results, None, {"auc": b"png", "training": b"png"})).tags
    assert sum(tag == "img" for tag, _ in tags) == 1
    assert {told["id"] for _, told in tags if "id" in told} == {"table1", "cohort"}


def test_it_says_who_won_the_counts_and_whether_the_pictures_differ(results: dict) -> None:
    text = page(results, {"spectrum": SPECTRUM}, {})
    assert escape(results["winner"]["sentence"])[1:] in text
    assert "1,234" in text and "never for diagnosis" in text
    said = re.sub(r"\s+", " ", text)
    assert "Mean frequency: 1 of 1 pairs of models differ" in said and "+0.020 [0.010, 0.030]" in said
    assert "Colour&#39;s share of variance: 0 of 1 pairs of models differ (" in said
