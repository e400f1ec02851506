"""What this page cannot say."""

from __future__ import annotations

from cxrlens.report.page.audited import audited_summary
from cxrlens.report.page.blocks import Section, Words
from cxrlens.report.reading import Reading

FEW = 200  # validation images, below which intervals of an AUC are wide


def limits(reading: Reading) -> Section:
    """The limits of this run first, then those of every such page."""
    results, first = reading.results, reading.results["models"][0]
    of_this = []
    if first["images"] < FEW:
        of_this.append(
            f"It rests on {first['images']} validation images of {first['patients']} patients: intervals are wide, and "
            "what differs little cannot be told apart."
        )
    if results["cohort"].get("validation_images_of_training_patients"):
        of_this.append("Patients are on both sides of the split: the AUCs say how well patients are recognised, too.")
    if first["seeds"] == 1:
        of_this.append("One seed a model: how far a result moves when training is repeated was not measured.")
    if audited_summary(reading.audited) is None:
        of_this.append("Not audited: a high AUC may come from marks, borders or the kind of file.")
    general = [
        "Intervals are of patients like these, drawn again. They say nothing of another hospital, scanner or year.",
        "Labels are those of the source; an image may be wrongly labelled, and the models learn that, too.",
        "A map says where a logit comes from, not whether the reason is right. Its colours are scaled for each model "
        "and method: they compare images, not models.",
        "An audit that finds nothing excludes what it asked, at the size it could see; not every shortcut.",
        "Nothing here was tested in care, and nothing here may decide about a patient.",
    ]
    return Section("limits", "Limits", [Words([*of_this, *general], "list")])
