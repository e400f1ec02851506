"""A study from its file to its run folder."""

from __future__ import annotations

from pathlib import Path

from cxrlens.drawing import escape, without_font
from cxrlens.errors import UserError
from cxrlens.files import write_text
from cxrlens.pipeline.environment import Stopwatch, earlier_stages, write_environment
from cxrlens.pipeline.explain.figure1 import need_images
from cxrlens.pipeline.explain.shown import first_networks
from cxrlens.pipeline.explain.stage import explain_run
from cxrlens.pipeline.fit import fit_unit, jobs
from cxrlens.pipeline.gallery import make_gallery
from cxrlens.pipeline.interface import Run
from cxrlens.pipeline.judge import judge
from cxrlens.pipeline.page import write_report
from cxrlens.pipeline.prepare import need_data, need_interval, prepare, summary, write_cohort
from cxrlens.pipeline.rows import trainable_rows
from cxrlens.progress import SILENT, Progress
from cxrlens.run_folder import RunFolder
from cxrlens.study import Study, default_out, read_study
from cxrlens.train.device import choose_device


def run(
    study: Study | str | Path,
    data: str | Path | None = None,
    *,
    out: str | Path | None = None,
    device: str = "auto",
    progress: Progress = SILENT,
    near: str | Path | None = None,
) -> Run:
    """Runs a study, or goes on with one that was interrupted.

    Args:
        study: the study, or its file, which is kept with the run as its author wrote it.
        data: the folder of the study's images; None where its source needs none.
        out: the run's folder, `runs/NAME` by default; an interrupted run of the same study in it is continued.
        device: "auto", "cpu" or "cuda".
        progress: where work is shown; nothing is printed by default.
        near: the folder that relative weight paths start from; the study file's by default.

    Returns:
        The finished run.

    Raises:
        UserError: anything the user can mend. What is finished stays, and the same call goes on from there.
        KeyboardInterrupt: Ctrl-C; likewise.
    """
    where = RunFolder(Path(out) if out is not None else default_out(study))
    study, file = read_study(study)
    root, near = Path(data) if data is not None else None, Path(near) if near is not None else file and file.parent
    text = file.read_text(encoding="utf-8-sig") if file else None
    chosen = choose_device(device)
    with where.locked("run"):
        _keep_study(where, study, text)
        watch = Stopwatch(earlier_stages(where))
        need_data(study, root)
        with watch.stage("models"):  # a model that cannot be trained shows before thousands of images are read
            rows, skipped = trainable_rows(study, near, progress)
        with watch.stage("cohort"):
            prepared = prepare(study, root, progress)
            need_interval(prepared)
            need_images(study, prepared)
            write_cohort(where, prepared)
            where.write_json("exclusions.json", prepared.cohort.left_out)
        for sentence in (*prepared.passed_over, *prepared.notes):
            progress.say(sentence)
        for sentence in (*(one for each in rows for one in each.sentences), *prepared.warnings):
            progress.say(f"warning: {sentence}")
        if lacking := without_font([row.name for row in study.models] + prepared.cohort.images):
            shown = " ".join(lacking[:10]) + (" ..." if len(lacking) > 10 else "")
            progress.say(
                f"figures: no font of this machine has the signs {shown} of some names; figures show their codes, such "
                f"as {escape(lacking[0])}, and tables and the page the signs themselves"
            )
        try:
            with watch.stage("cohort"):
                for size in dict.fromkeys(each.size for each in rows):
                    prepared.pixels.at(size)  # a full disk shows before hours of training
            done = jobs(prepared, rows)
            with progress.task("networks", len(done)) as task:
                for number, job in enumerate(done):
                    task.update(number)
                    with watch.stage(f"train {job.title}"):
                        seconds = fit_unit(job, prepared, where, chosen, near, progress)
                    progress.say(
                        f"{job.title}: " + (f"trained in {seconds:.0f} s" if seconds else "was trained before")
                    )
            with watch.stage("evaluate"):
                judge(
                    where, study, done, summary(prepared), prepared.groups, prepared.warnings, skipped,
                    prepared.cache.depth,
                )  # fmt: skip
            if study.explain.figures:
                with watch.stage("explain"):
                    explain_run(Run(where), done, prepared, chosen, progress)
            if study.explain.gallery:
                with watch.stage("gallery"):
                    make_gallery(first_networks(Run(where), done, prepared, chosen), root, progress)
        finally:
            write_environment(where, prepared.digest, len(prepared.cache.index), chosen, watch, data, near)
        write_report(where)
    return Run(where)


def _keep_study(where: RunFolder, study: Study, text: str | None) -> None:
    if not where.study.exists() or not where.has_networks:  # a study mended before anything was trained
        write_text(where.study, text or study.to_toml())
    elif Study.load(where.study).model_copy(update={"explain": study.explain, "audit": study.audit}) == study:
        write_text(where.study, text or study.to_toml())  # the networks don't depend on how they are looked at
    else:
        raise UserError(
            f"{where.path} holds another study ({where.study}); choose another --out, or delete that folder"
        )
