"""The COVID-19 image data collection (Cohen et al. 2020, arXiv:2003.11597): `metadata.csv` and `images/`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

from cxrlens.data.cohort import COLUMNS, Cohort
from cxrlens.data.demographics import read_ages, read_patients, read_sexes
from cxrlens.data.files import data_root, list_files
from cxrlens.data.findings import Negative, check_occur, label_of
from cxrlens.data.listed import listed_cohort
from cxrlens.data.sources import SOURCES, Source
from cxrlens.data.tables import extras, read_table

PAPER_VIEWS = ("PA", "AP", "AP Supine", "AP semi erect")
PUBLISHED_VIEWS = frozenset({*PAPER_VIEWS, "AP erect", "L", "Axial", "Coronal"})
USED = (
    "patientid",
    "finding",
    "view",
    "location",
    "date",
    "sex",
    "age",
    "license",
    "clinical_notes",
    "other_notes",
    "filename",
)


@SOURCES.register("covid_chestxray")
class CovidChestXray(Source):
    """The collection at any of its commits; the defaults give the paper's cohort on the paper's commit.

    Attributes:
        views: the views kept, as the column `view` writes them; empty keeps every X-ray.
        positive: findings of the positive class.
        negative: findings of the negative class; "rest" is every finding that is neither positive nor left out.
        left_out: findings that are no label.
    """

    views: tuple[str, ...] = PAPER_VIEWS
    positive: tuple[str, ...] = ("COVID-19", "COVID-19, ARDS")
    negative: Negative = "rest"
    left_out: tuple[str, ...] = ("todo", "Unknown")

    def cohort(self, root: Path | None) -> Cohort:
        """Lists the X-rays in the order of `metadata.csv`.

        `source` is where an image was published (`publication_source`), `site` is `location`; every other column of the
        table is kept behind the cohort's own.
        """
        root = data_root(root, ("metadata.csv", "images"), "metadata.csv and images/")
        table = read_table(root / "metadata.csv", ("filename", "patientid", "finding", "view", "modality"))
        rows = table.rows
        self._check(set(rows["finding"]) - {""}, set(rows["view"]), f"the column finding of {table.path}")
        kept, labels, left_out = [], [], Counter[str]()
        columns = zip(rows["modality"], rows["view"], rows["finding"], strict=True)
        for row, (modality, view, finding) in enumerate(columns):
            label, reason = label_of([finding] if finding else [], self.positive, self.negative, self.left_out)
            if modality != "X-ray":
                reason = f"modality {modality or 'not stated'}"
            elif self.views and view not in self.views:
                reason = f"view {view or 'not stated'}"
            if reason:
                left_out[reason] += 1
            else:
                kept.append(row)
                labels.append(label)
        chosen = rows.iloc[kept]

        def column(name: str) -> list[str]:
            return chosen[name].tolist() if name in chosen else [""] * len(chosen)

        notes = zip(column("clinical_notes"), column("other_notes"), strict=True)
        origins = zip(column("url"), column("doi"), strict=True)
        patients, odd_patients = read_patients(column("patientid"))
        sexes, odd_sexes = read_sexes(column("sex"))
        ages, odd_ages = read_ages(column("age"))
        cells: dict[str, Sequence[object]] = {
            "patient": patients,
            "label": [*labels],
            "finding": [*column("finding")],
            "view": [*column("view")],
            "source": [publication_source(url, doi) for url, doi in origins],
            "site": [*column("location")],
            "date": [*column("date")],
            "sex": sexes,
            "age": ages,
            "license": [*column("license")],
            "notes": ["\n".join(filter(None, pair)) for pair in notes],
            **extras(chosen, USED, COLUMNS),
        }
        files = list_files(root, ("images",))
        return listed_cohort(
            "covid_chestxray", table, "filename", cells, kept, files, left_out, root / "images",
            warnings=(*odd_patients, *odd_sexes, *odd_ages),
        )  # fmt: skip

    def _check(self, findings: set[str], views: set[str], where: str) -> None:
        named = {"positive": self.positive, "left_out": self.left_out}
        if self.negative != "rest":
            named["negative"] = self.negative
        check_occur(
            {option: names for option, names in named.items() if option in self.model_fields_set}, findings, where
        )
        if not set(self.positive) & findings:  # a release that renames its findings must not become all negative
            check_occur({"positive": self.positive}, findings, where)
        check_occur({"views": self.views}, views | PUBLISHED_VIEWS, where.replace("finding", "view"))


def publication_source(url: str, doi: str) -> str | None:
    """Who published an image, coarsely: its url's domain without subdomains; without a url, its doi's registrant.

    >>> publication_source("https://pubs.rsna.org/doi/1", ""), publication_source("https://www.ams.edu.sg/x", "")
    ('rsna.org', 'ams.edu.sg')
    >>> publication_source("", "doi:10.1148/rg.242035193")
    'doi 10.1148'
    """
    try:
        host = (urlsplit(url).hostname or "").split(".")
    except ValueError:
        host = []
    if len(host) > 1:
        country = len(host) > 2 and len(host[-1]) == 2 and host[-2] in {"ac", "co", "com", "edu", "gov", "net", "org"}
        return ".".join(host[-3:] if country else host[-2:])
    registrant = doi.removeprefix("doi:").strip().split("/")[0]
    return f"doi {registrant}" if registrant.startswith("10.") else None
