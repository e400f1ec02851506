"""Named augmentations: each of the paper's six alone at a moderate strength, the paper's choice, and all together."""

from __future__ import annotations

from cxrlens.data.augment import Augmentation
from cxrlens.errors import UserError, near_miss

SIX: dict[str, Augmentation] = {
    "horizontal_flip": Augmentation(horizontal_flip=True),
    "width_shift": Augmentation(width_shift=0.1),
    "zoom": Augmentation(zoom=(0.9, 1.1)),
    "brightness": Augmentation(brightness=(0.5, 1.2)),  # the paper's range
    "channel_shift": Augmentation(channel_shift=0.1),
    "rotation": Augmentation(rotation=10.0),
}


def together(*parts: Augmentation) -> Augmentation:
    """Everything that the parts turn on; where two turn on the same, the later one's strength."""
    return Augmentation.model_validate({name: value for part in parts for name, value in _values(part).items()})


def combinations(study: Augmentation | None = None) -> dict[str, Augmentation]:
    """Name → augmentation: none, each of the six, the paper's, all six; and `study`, where a study asks for another.

    Args:
        study: the study's own `[augment]`.

    >>> list(combinations())[-2:]
    ['paper', 'all_six']
    """
    named = {
        "none": Augmentation(),
        **SIX,
        "paper": together(SIX["horizontal_flip"], SIX["brightness"]),
        "all_six": together(*SIX.values()),
    }
    return named if study is None or study in named.values() else {**named, "study": study}


def named_combination(name: str, known: dict[str, Augmentation]) -> Augmentation:
    """The augmentation of a name such as `rotation`, or of several joined by `+`, such as `rotation+brightness`.

    Raises:
        UserError: one of the names is not in `known`.
    """
    parts = [part.strip() for part in name.split("+")]
    unknown = [part for part in parts if part not in known]
    if unknown:
        raise UserError(near_miss("augmentation", unknown[0], known) + " (join several by +, as in rotation+zoom)")
    return together(*(known[part] for part in parts))


def turned_on(augmentation: Augmentation) -> dict[str, str]:
    """Name → strength of what is turned on, in the words of a study file; empty where nothing is.

    >>> turned_on(SIX["brightness"])
    {'brightness': '[0.5, 1.2]'}
    """
    return {name: _toml(value) for name, value in _values(augmentation).items()}


def in_words(augmentation: Augmentation) -> str:
    """What is turned on, in one line.

    >>> in_words(together(SIX["rotation"], SIX["horizontal_flip"]))
    'horizontal_flip = true, rotation = 10'
    """
    return ", ".join(f"{name} = {value}" for name, value in turned_on(augmentation).items()) or "nothing"


def _values(augmentation: Augmentation) -> dict[str, object]:
    return {name: value for name, value in augmentation if value != Augmentation.model_fields[name].default}


def _toml(value: object) -> str:
    if isinstance(value, tuple):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return str(value).lower() if isinstance(value, bool) else f"{value:g}"
