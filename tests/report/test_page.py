"""The page: what it says, what is on it and what is not, and that whatever comes from data stays text."""

from __future__ import annotations

import base64
import io
import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from cxrlens.evaluate.calibration import choose_threshold
from cxrlens.report.export import operating_cells
from cxrlens.report.page import PICTURES, page
from cxrlens.report.page.blocks import as_island, map_images, map_side, outline, picture_side, picture_uri
from cxrlens.report.page.cohort import flow, set_cells
from cxrlens.report.page.gallery import first_logits
from cxrlens.report.page.summary import comparison, reliability, uncertainty, who_won
from cxrlens.report.report_data import ReportData
from support.synthetic_report_data import EVIL, PNG, made

ALL = {
    "summary", "cohort", "table1", "curves", "subgroups", "training", "explanations", "audit", "transfer", "gallery",
    "methods", "reproduce", "limits",
}  # fmt: skip


class Tags(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.data: list[str] = []
        self.island = ""
        self.inside = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self.inside = "gallery-data" if dict(attrs).get("id") == "gallery-data" else tag

    def handle_endtag(self, tag: str) -> None:
        self.inside = ""

    def handle_data(self, data: str) -> None:
        if self.inside == "gallery-data":
            self.island += data
        elif self.inside not in ("script", "style"):
            self.data.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [output for name, output in self.tags if name == tag]

    def sections(self) -> list[str]:
        return [output["id"] or "" for output in self.all("section")]

    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.data))


@pytest.fixture(scope="module")
def report() -> ReportData:
    return made(flags=("strong",))


@pytest.fixture(scope="module")
def whole(report: ReportData) -> Tags:
    return Tags(page(report))


def test_every_section_is_there_in_the_contents_and_once(whole: Tags) -> None:
    assert set(whole.sections()) == ALL and len(whole.sections()) == len(ALL)
    links = [output["href"] for output in whole.all("a")]
    assert links == ["#main", *(f"#{name}" for name in whole.sections())]


def test_a_bare_run_has_a_page_without_what_it_lacks() -> None:
    bare = replace(made(audited=False, maps=False, pictures={}), explanations=None, environment={})
    tags = Tags(page(bare))
    assert set(tags.sections()) == ALL - {"training", "explanations", "transfer", "gallery"}
    assert not tags.all("img") and "This run has not been audited." in tags.text()


def test_it_asks_no_host_and_has_one_script_named_by_its_hash(whole: Tags, report: ReportData) -> None:
    sources = [
        output[key] or "" for _, output in whole.tags for key in ("src", "href", "action", "data") if key in output
    ]
    assert all(each.startswith(("data:image/png;base64,", "#")) for each in sources)
    assert [output.get("type") for output in whole.all("script")] == ["application/json", None]
    assert not whole.all("link") and not whole.all("iframe") and "url(" not in page(report)
    policy = next(output["content"] for output in whole.all("meta") if "http-equiv" in output) or ""
    assert "default-src 'none'" in policy and "script-src 'sha256-" in policy and "unsafe-eval" not in policy


def test_every_picture_and_table_has_its_words(whole: Tags) -> None:
    pictures = [output for output in whole.all("img") if "id" not in output]
    assert len(pictures) == len(PICTURES) and all(len(output["alt"] or "") > 20 for output in pictures)
    assert len(whole.all("caption")) == len(whole.all("table"))
    assert sum("Not for clinical use" in each for each in whole.data) == 2


def test_whatever_data_says_is_text() -> None:
    evil = made(
        models={EVIL: 0.3, "strong": 3.0}, name=EVIL + "{}", notes=EVIL, question=EVIL, flags=(EVIL,),
    )  # fmt: skip
    evil.results["warnings"] = [EVIL]
    evil.results["skipped"] = [{"name": EVIL, "reason": EVIL}]
    evil.results["cohort"]["missing"] = [{"image": EVIL, "reason": EVIL}]
    text = page(replace(evil, environment={**evil.environment, "command": [EVIL], "data": EVIL}))
    tags = Tags(text)
    assert "<script>alert" not in text and "<img src=x" not in text
    assert len(tags.all("script")) == 2 and not [output for output in tags.all("img") if output.get("src") == "x"]
    output = json.loads(tags.island)
    assert output["images"][0]["facts"]["notes"] == EVIL and output["images"][3]["name"] == EVIL + "3"
    assert output["models"][0]["name"] == EVIL
    assert "</" not in tags.island and "<!--" not in as_island(["<!--"]) and "\u2028" not in as_island(["\u2028"])


def test_a_winner_is_named_with_its_lead_and_uncertainty() -> None:
    results = made(images=60, models={"weak": 0.0, "strong": 2.0}, maps=False).results
    assert results["winner"]["name"] == "strong"
    said, pair = who_won(results), results["comparisons"][0]
    assert said.startswith("“strong” wins with an AUC of ") and "Its lead over the next model, “weak” (" in said
    assert said.endswith(f" is {-pair['difference']:.3f} [{-pair['high']:.3f}, {-pair['low']:.3f}].")
    assert uncertainty(results).startswith("This difference is significant at the 5% level (p ")
    assert "with one seed, so the variation between trainings is unknown" in uncertainty(results)


def test_where_no_winner_can_be_named_it_says_so_and_by_how_little(report: ReportData) -> None:
    results = report.results
    assert results["winner"]["name"] is None
    assert who_won(results).startswith("No winner can be named. “strong” has the highest AUC, ")
    p = results["comparisons"][0]["p_holm"]
    assert who_won(results).endswith(f", which is not significant after Holm's correction (p = {p:.3f}).")
    assert f"p = {p:.3f}" in uncertainty(results)
    assert "is not significant at the 5% level" in uncertainty(results)
    three = made(images=40, models={"a": 0.1, "b": 0.2, "c": 3.0}, maps=False).results
    left = sum(pair["p_holm"] <= 0.05 for pair in three["comparisons"])
    assert uncertainty(three).startswith(f"{left} of the 3 differences")


def test_one_model_alone_has_nothing_to_win() -> None:
    results = made(models={"only": 1.0}, maps=False).results
    assert "There is no other model" in who_won(results) and "its AUC is between" in uncertainty(results)
    assert comparison(results).startswith(
        "One model was trained and evaluated by AUC on 12 validation images (6 positive)"
    )


def test_whether_to_believe_it_leaks_come_first_then_the_audit() -> None:
    best, other = ("strong",), ("weak",)
    said = {
        "leaky": reliability(made(leaking=5, maps=False)),
        "open": reliability(made(audited=False, maps=False)),
        "flagged": reliability(made(flags=best, maps=False)),
        "other": reliability(made(flags=other, maps=False)),
        "clean": reliability(made(maps=False)),
        "old": reliability(replace(made(maps=False), audit={"schema_version": 0})),
    }
    assert said["leaky"][0].startswith("Not reliable as it stands: 5 of 12 validation images are of patients who ")
    assert "has not been audited" in said["open"][0] and "another version" in said["old"][0]
    assert said["flagged"][0] == "Doubtful: the audit flagged “strong”. strong may be using the corners."
    assert said["other"][0] == (
        "Audit of “strong”: No question found a shortcut. In total, the audit flagged 1 of 2 models."
    )
    assert said["clean"] == ("Audit of “strong”: No question found a shortcut.", False)
    assert all(doubt for name, (_, doubt) in said.items() if name != "clean")


@pytest.mark.parametrize(("verdict", "symbol"), [("clear", "○"), ("undecided", "?"), ("flag", "▲")])
def test_a_headline_has_the_symbol_that_the_legend_gives_to_its_verdict(verdict: str, symbol: str) -> None:
    audited = made(maps=False, flags=("strong",) if verdict == "flag" else ())
    results = audited.audit["findings"]
    of_strong = [result | {"verdict": verdict} for result in results if result["model"] == "strong"]
    of_weak = [result for result in results if result["model"] == "weak"]
    maps = {"probe": "map_trust", "verdict": "undecided"}
    more = [result | maps for result in of_strong]  # verdicts on maps decide on no shortcut
    report = replace(audited, audit=audited.audit | {"findings": [*of_strong, *of_weak, *more]})
    headline = next(part["headline"] for part in audited.audit["summary"]["models"] if part["name"] == "strong")
    assert f"strong {symbol} {headline}" in Tags(page(report)).text()


PARTS = {"cohort": {}, "models": [], "notice": ""}


@pytest.mark.parametrize(
    "audited", [{}, {"schema_version": 0}, {"schema_version": 1}, {"schema_version": 1, "summary": PARTS}]
)
def test_an_audit_of_another_version_is_said_and_breaks_nothing(report: ReportData, audited: dict) -> None:
    tags = Tags(page(replace(report, audit=audited, gallery=None)))
    assert "transfer" not in tags.sections() and tags.text().count("another version of cxrlens") == 2


def test_the_cohorts_flow_adds_up_and_leaks_are_counted() -> None:
    leaky = made(leaking=5, maps=False)
    rows = {row[0]: row[1] for row in flow(leaky.results["cohort"], leaky.cohort)[1]}
    assert (
        rows["rows of the source table"] == "32" and rows["− excluded: view L"] == "7" and rows["listed images"] == "25"
    )
    assert rows["− missing: no such file"] == "1" and rows["used"] == "24"
    output = leaky.results["cohort"] | {
        "left_out": {"view L": 7, "no DICOM": 2},
        "left_out_origins": {"no DICOM": "why"},
    }
    why = {row[0]: row[2] for row in flow(output, leaky.cohort)[1]}
    assert why["− excluded: view L"] == "the study's choice" and why["− not used: no DICOM"] == "why"
    unknown = leaky.cohort.assign(label=leaky.cohort["label"].where(leaky.cohort["image"] != "train 0"))
    rows = {row[0]: row[1] for row in flow(leaky.results["cohort"], unknown)[1]}
    assert rows["− label unknown"] == "1" and rows["used"] == "23"
    table = {row[0]: row[1:] for row in set_cells(unknown)[1]}
    assert table == {
        "training": ["6 (6)", "5 (5)", "11 (11)"], "validation": ["6 (6)", "6 (6)", "12 (12)"],
        "both": ["12 (12)", "11 (11)", "23 (23)"],
    }  # fmt: skip
    assert "5 of 12 validation images are of 5 patients who are also in the training set" in Tags(page(leaky)).text()


def test_the_methods_are_those_of_the_study(whole: Tags, report: ReportData) -> None:
    said = whole.text()
    assert "generated by the phantom" in said and "augmented by horizontal flip, brightness [0.5, 1.2]" in said
    assert "Obuchowski 1997" in said and "arXiv:1610.02391" in said
    assert "a network with two convolutions (West, Jha and Tsang 2020" in said and "Adam (Kingma and Ba 2014" in said
    assert "Nadeau and Bengio" not in said
    models = [model | {"auc_train_low": 0.5, "auc_train_high": 0.9} for model in report.results["models"]]
    folds = report.results["evaluation"] | {"trainings": "folds"}
    by_folds = replace(report, results=report.results | {"models": models, "evaluation": folds}, gallery=None)
    assert Tags(page(by_folds)).text().count("Nadeau and Bengio 2003") == 2, "where it is cited, and in the list"
    once = report.study.replace('name = "weak"', 'name = "weak"\nepochs = 1\nsteps = 1')
    assert "1 epoch of 1 step" in Tags(page(replace(report, study=once, gallery=None))).text()
    other = Tags(page(replace(report, study="name = 1", gallery=None))).text()
    assert "study file is of another version" in other


def test_the_page_of_the_papers_size_is_below_15_megabytes() -> None:
    # A tenth of the maps, weighed: 96 images, 5 models and 2 methods.
    few = made(images=10, models={"a": 0.5}, size=224, pictures={})
    output = json.loads(Tags(page(few)).island)
    images = sum(len(each["jpeg"]) + len(each["lungs"]) for each in output["images"]) / 10
    maps = sum(len(each) for pngs in output["models"][0]["maps"].values() for each in pngs) / 10
    assert 96 * images + 96 * 5 * maps < 9e6  # the figures have the rest
    with Image.open(io.BytesIO(base64.b64decode(output["images"][0]["jpeg"]))) as picture:
        assert picture.size == (224, 224)
    assert map_side(96 * 10) == 112 and map_side(400 * 10) < 60  # more images, coarser maps
    assert picture_side(np.zeros((96, 224, 224))) == 224 and picture_side(np.zeros((400, 224, 224))) < 115


def test_maps_keep_one_scale_and_no_evidence_is_zero() -> None:
    raw = np.zeros((3, 40, 40), np.float32)
    raw[0, 10:20, 10:20], raw[1, 10:20, 10:20], raw[2, 10:20, 10:20] = 1.0, 0.5, -1.0
    positive, magnitude, signed = (
        [_decoded(text) for text in map_images(raw, shown, 112)] for shown in ("positive", "magnitude", "signed")
    )
    assert [int(each.max()) for each in positive] == [252, 128, 0] and positive[0][0, 0] == 0
    assert [int(each.max()) for each in magnitude] == [252, 128, 252]
    assert [int(each[15, 15]) for each in signed] == [252, 192, 4] and signed[0][0, 0] == 128
    assert _decoded(map_images(np.zeros((1, 7, 7)), "positive", 112)[0]).max() == 0


def test_a_coarse_map_without_its_rim_is_put_where_it_was_seen() -> None:
    raw = np.zeros((1, 4, 4), np.float32)
    raw[0, 1, 2] = 1
    outcome = _decoded(map_images(raw, "positive", 112, margin=(1, 1))[0])
    row, column = np.argwhere(outcome == outcome.max()).mean(0)
    # Cell (1, 2) of a 4 × 4 map in a 6 × 6 image is (2, 3): its middle at 2.5 / 6 and 3.5 / 6.
    assert (row + 0.5) / len(outcome) == pytest.approx(2.5 / 6, abs=0.03)
    assert (column + 0.5) / len(outcome) == pytest.approx(3.5 / 6, abs=0.03)


def test_an_outline_runs_around_the_lungs() -> None:
    mask = np.zeros((64, 64), bool)
    mask[16:48, 8:24] = True
    path = outline(mask)
    points = np.array([[float(each) for each in pair.split()] for pair in re.findall(r"[\d.]+ [\d.]+", path)])
    assert path.count("M") == 1 and path.endswith("Z")
    np.testing.assert_allclose(points.min(0), [16, 32], atol=3)
    np.testing.assert_allclose(points.max(0), [48, 96], atol=3)
    assert outline(np.zeros((8, 8), bool)) == ""


def test_the_gallery_says_which_validation_images_it_shows_and_of_which_network(report: ReportData) -> None:
    def text(**changes: object) -> str:
        models = [model | changes for model in report.results["models"]]
        return Tags(page(replace(report, results=report.results | {"models": models}))).text()

    assert "All validation images, with the maps and P of one network per model: that of its first seed." in text()
    assert f"{len(report.gallery.images)} of the 900 validation images, with the maps" in text(images=900)
    folds = text(images=900, folds=5)
    assert "of the 900 validation images (first fold), with the maps" in folds and "first seed and first fold." in folds


def test_the_methods_text_says_what_the_calibration_is_and_invents_no_source(report: ReportData) -> None:
    table = report.study.replace('source = "phantom"', 'source = "csv_table"\ntable = "t.csv"')
    options = [line for line in table.splitlines() if not line.startswith(("patients", "strength", "images_per"))]
    text = Tags(page(replace(report, study="\n".join(options), gallery=None))).text()
    assert "The X-rays came from [state the source]." in text and "own collection" not in text
    assert "the intercept with the slope fixed at 1 (calibration-in-the-large), the slope of a logistic fit" in text


def test_the_gallerys_logits_are_the_first_networks(report: ReportData, whole: Tags) -> None:
    later = report.predictions.assign(seed=1, logit=0.123)
    both = type(later)(np.r_[report.predictions.to_numpy(), later.to_numpy()], columns=later.columns)
    images = report.gallery.images if report.gallery else ()
    first = first_logits(both, "strong", images)
    assert first == first_logits(report.predictions, "strong", images) and 0.123 not in first
    assert first_logits(both, "strong", (*images, "another"))[-1] is None
    output = json.loads(whole.island)
    assert output["models"][1]["logit"] == first
    assert output["models"][1]["threshold"] == pytest.approx(np.log(0.4 / 0.6))
    assert output["models"][output["first"]]["name"] == "strong"


@pytest.mark.parametrize("shift", [-30, -15, -8, 8, 15, 30, 60])
def test_the_gallery_calls_every_image_as_the_table_does_however_sure_the_network_is(shift: float) -> None:
    sure = made(images=40, models={"m": 0.8}, shift=shift, pictures={})
    assert sure.gallery is not None
    threshold = choose_threshold(sure.predictions["label"], sure.predictions["logit"])
    for selected in ({"m": threshold}, {}):  # a model whose threshold was not kept has the table's, as P
        output = json.loads(Tags(page(replace(sure, gallery=replace(sure.gallery, thresholds=selected)))).island)
        called = np.array(output["models"][0]["logit"]) >= output["models"][0]["threshold"]
        label = np.array([each["label"] for each in output["images"]]) == 1
        at = sure.results["models"][0]["threshold"]
        if selected or shift < 30:
            assert called[label].mean() == pytest.approx(at["sensitivity"])
            assert 1 - called[~label].mean() == pytest.approx(at["specificity"])


def test_a_threshold_that_is_not_0_is_never_written_as_0() -> None:
    for shift, said in ((-15, "e-0"), (15, "1 − "), (0, "0.")):
        (row,) = operating_cells(made(images=40, models={"m": 0.8}, shift=shift, maps=False).results)[1]
        assert said in row[1] and row[1] not in ("0.000", "1.000")


def test_every_class_of_the_page_has_a_style() -> None:
    text = page(made(images=12, models={"weak": 0.6, "strong": 0.9}, flags=("strong",), leaking=2))
    styles = set(re.findall(r"\.([a-z]+)", text[: text.index("</style>")]))
    classes = {name for _, told in Tags(text).tags for name in (told.get("class") or "").split()}
    assert len(classes) > 20 and classes <= styles, classes - styles


def test_a_picture_is_on_the_page_as_it_is(report: ReportData) -> None:
    tags = Tags(page(replace(report, pictures={"roc": PNG, "unknown": PNG})))
    shown = [output["src"] for output in tags.all("img") if "id" not in output]
    assert shown == ["data:image/png;base64," + base64.b64encode(PNG).decode()]


def _decoded(text: str) -> np.ndarray:
    with Image.open(io.BytesIO(base64.b64decode(text))) as picture:
        return np.asarray(picture)


def external(**more: object) -> dict[str, object]:
    ends = {"auc": 0.8, "auc_low": 0.7, "auc_high": 0.9}
    threshold = {"sensitivity": 0.5, "specificity": None}
    model = {
        "name": "weak", "inside": ends,
        "outside": {"auc": 0.6, "auc_low": 0.5, "auc_high": 0.7, "threshold": threshold},
        "difference": {"difference": 0.2, "low": 0.05, "high": 0.35, "p_holm": 0.012},
    }  # fmt: skip
    output = {
        "data": {"name": "another <b>place</b>"}, "models": [model], "notes": [], "limits": "not why",
        "images": {"evaluated": 40, "listed": 45, "positive": 20}, "left_out": {"same_patient": 5, "unreadable": 0},
    }  # fmt: skip
    return output | more


def test_images_from_elsewhere_have_their_section_where_there_are_some() -> None:
    assert "external" not in Tags(page(made())).sections()
    read = Tags(page(replace(made(), external=[external()])))
    assert read.sections().index("external") == read.sections().index("audit") + 1
    text = read.text()
    counts = "another <b>place</b>: 40 of 45 images were evaluated, 20 of them positive; left out: 5 of a patient"
    assert counts in text
    of_old_version = external(images={"judged": 40, "listed": 45, "positive": 20})
    assert counts in Tags(page(replace(made(), external=[of_old_version]))).text()
    for cell in ("0.800 [0.70, 0.90]", "0.600 [0.50, 0.70]", "0.200 [0.05, 0.35]", "0.012", "0.50 / –", "not why"):
        assert cell in text, cell


def test_a_p_of_the_external_table_is_never_0() -> None:
    told = external()
    (model,) = told["models"]
    small = model | {"difference": model["difference"] | {"p_holm": 0.0002}}
    text = Tags(page(replace(made(), external=[told | {"models": [small]}]))).text()
    assert "<0.001" in text and "0.000" not in text


def test_intervals_that_there_are_not_elsewhere_have_their_reasons_once() -> None:
    few, none = "an interval needs at least 5 patients; got 4", {"auc_low": None, "auc_high": None}
    output = external()
    (model,) = output["models"]
    assert "got 4" not in Tags(page(replace(made(), external=[output]))).text()
    outside, gap = model["outside"] | none | {"reason": few}, {"low": None, "high": None, "reason": few}
    model |= {"inside": model["inside"] | {"rough": True}, "outside": outside, "difference": model["difference"] | gap}
    text = Tags(page(replace(made(), external=[output | {"models": [model, model | {"name": "b"}]}]))).text()
    assert text.count(few) == 1 and f"External images: {few}." in text and "0.800 [0.70, 0.90] rough" in text


def test_a_large_figure_is_a_jpeg_of_its_size_and_a_small_one_is_left_as_it_is() -> None:
    assert picture_uri(PNG) == "data:image/png;base64," + base64.b64encode(PNG).decode()
    noise = np.random.default_rng(0).integers(0, 255, (400, 500, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).save(buffer, format="PNG")
    kind, _, data = picture_uri(buffer.getvalue()).partition(";base64,")
    assert kind == "data:image/jpeg" and len(data) < len(buffer.getvalue())
    assert Image.open(io.BytesIO(base64.b64decode(data))).size == (500, 400)
