"""The COVID-19 image data collection (Cohen et al. 2020, arXiv:2003.11597): `metadata.csv` and `images/`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

from cxrlens.data.cohort import COLUMNS, Cohort
from cxrlens.data.demographics import read_columns
from cxrlens.data.files import find_data_dir, list_files
from cxrlens.data.findings import Negative, check_occur, label_of
from cxrlens.data.listed import listed_cohort, select_rows, view_reason
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
    """The collection at any of its commits; with the paper's commit, the defaults give the paper's cohort.

    Attributes:
        views: views to keep, as in the column `view`; empty keeps all X-rays.
        positive: findings of the positive class.
        negative: findings of the negative class; "rest" means all findings that are neither positive nor left out.
        left_out: findings whose images are left out.
    """

    views: tuple[str, ...] = PAPER_VIEWS
    positive: tuple[str, ...] = ("COVID-19", "COVID-19, ARDS")
    negative: Negative = "rest"
    left_out: tuple[str, ...] = ("todo", "Unknown")

    def cohort(self, data_dir: Path | None) -> Cohort:
        """Lists the X-rays in the order of `metadata.csv`.

        `source` is the place of publication (`publication_source`) and `site` is `location`. All other columns of the
        table follow those of the cohort.
        """
        data_dir = find_data_dir(data_dir, ("metadata.csv", "images"), "metadata.csv and images/")
        table = read_table(data_dir / "metadata.csv", ("filename", "patientid", "finding", "view", "modality"))
        rows = table.rows
        self._check(set(rows["finding"]) - {""}, set(rows["view"]), f"the column finding of {table.path}")

        def label_row(modality: str, view: str, finding: str) -> tuple[float, str]:
            label, reason = label_of([finding] if finding else [], self.positive, self.negative, self.left_out)
            other = "" if modality == "X-ray" else f"modality {modality or 'not stated'}"
            return label, other or view_reason(self.views, view) or reason

        selected, labels, left_out = select_rows(map(label_row, rows["modality"], rows["view"], rows["finding"]))
        chosen = rows.iloc[selected]

        def column(name: str) -> list[str]:
            return chosen[name].tolist() if name in chosen else [""] * len(chosen)

        notes = zip(column("clinical_notes"), column("other_notes"), strict=True)
        origins = zip(column("url"), column("doi"), strict=True)
        people, warnings = read_columns({"patient": column("patientid"), "sex": column("sex"), "age": column("age")})
        cells: dict[str, Sequence[object]] = {
            **people,
            "label": [*labels],
            "finding": [*column("finding")],
            "view": [*column("view")],
            "source": [publication_source(url, doi) for url, doi in origins],
            "site": [*column("location")],
            "date": [*column("date")],
            "license": [*column("license")],
            "notes": ["\n".join(filter(None, pair)) for pair in notes],
            **extras(chosen, USED, COLUMNS),
        }
        files = list_files(data_dir, ("images",))
        return listed_cohort(
            "covid_chestxray", table, "filename", cells, selected, files, left_out, data_dir / "images",
            warnings=warnings,
        )  # fmt: skip

    def _check(self, findings: set[str], views: set[str], where: str) -> None:
        named = {"positive": self.positive, "left_out": self.left_out}
        if self.negative != "rest":
            named["negative"] = self.negative
        check_occur(
            {option: names for option, names in named.items() if option in self.model_fields_set}, findings, where
        )
        if not set(self.positive) & findings:  # otherwise a release with renamed findings would become all negative
            check_occur({"positive": self.positive}, findings, where)
        check_occur({"views": self.views}, views | PUBLISHED_VIEWS, where.replace("finding", "view"))


def publication_source(url: str, doi: str) -> str | None:
    """The publisher of an image: the domain of its url without subdomains, else the registrant of its doi.

    Args:
        url: address of the publication; "" where there is none.
        doi: doi of the publication; "" where there is none.

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
