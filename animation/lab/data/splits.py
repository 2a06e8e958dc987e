"""Who is trained on, who is validated on and who is tested on: never the same person twice."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from avatar.errors import UserError

__all__ = ["VOCASET_SPLIT", "Split", "sentence_numbers", "subject_split"]


@dataclass(frozen=True)
class Split:
    """Disjoint sets of subjects."""

    train: tuple[str, ...]
    validation: tuple[str, ...]
    test: tuple[str, ...]

    def __post_init__(self) -> None:
        names = [*self.train, *self.validation, *self.test]
        if len(set(names)) != len(names):
            twice = sorted({name for name in names if names.count(name) > 1})
            raise ValueError(f"Split: {', '.join(twice)} in more than one part")

    def part(self, name: str) -> tuple[str, ...]:
        """The subjects of 'train', 'validation' or 'test'."""
        if name not in ("train", "validation", "test"):
            raise ValueError(f"Split.part: expected train, validation or test, got {name!r}")
        return getattr(self, name)


def _talking(*numbers: str) -> tuple[str, ...]:
    return tuple(f"FaceTalk_{number}_TA" for number in numbers)


VOCASET_SPLIT = Split(
    _talking(
        "170728_03272", "170904_00128", "170725_00137", "170915_00223", "170811_03274", "170913_03279",
        "170904_03276", "170912_03278",
    ),
    _talking("170811_03275", "170908_03277"),
    _talking("170809_00138", "170731_00024"),
)  # fmt: skip
"""VOCA's own split [checked]. Training uses sentences 1-40, validation and test 21-40."""


def sentence_numbers(part: str) -> range:
    """The sentences of VOCASET that a part of VOCA's split uses [checked]."""
    if part not in ("train", "validation", "test"):
        raise ValueError(f"sentence_numbers: expected train, validation or test, got {part!r}")
    return range(1, 41) if part == "train" else range(21, 41)


def subject_split(subjects: Iterable[str], shares: Sequence[float] = (0.7, 0.15, 0.15), seed: int = 0) -> Split:
    """A reproducible split of any subjects; VOCASET's own where it is VOCASET.

    Args:
        subjects: all subjects of a data set.
        shares: of train, validation and test; each part gets at least one subject.
        seed: of the shuffle.

    Raises:
        UserError: if there are fewer than three subjects.
        ValueError: if the shares are not three numbers above 0.
    """
    names = sorted(set(subjects))
    if len(shares) != 3 or min(shares) <= 0:
        raise ValueError(f"subject_split: expected three shares above 0, got {tuple(shares)}")
    official = [*VOCASET_SPLIT.train, *VOCASET_SPLIT.validation, *VOCASET_SPLIT.test]
    if names and set(names) <= set(official):
        present = {part: tuple(s for s in VOCASET_SPLIT.part(part) if s in names) for part in Split.__annotations__}
        if all(present.values()):
            return Split(**present)
    if len(names) < 3:
        raise UserError(f"a split by subject needs at least 3 subjects, the data has {len(names)}")
    order = np.random.default_rng(seed).permutation(len(names))
    total = sum(shares)
    n_validation = max(1, round(len(names) * shares[1] / total))
    n_test = max(1, round(len(names) * shares[2] / total))
    while n_validation + n_test > len(names) - 1:
        n_validation, n_test = max(1, n_validation - 1), max(1, n_test - 1)
    shuffled = [names[i] for i in order]
    return Split(
        tuple(sorted(shuffled[n_validation + n_test :])),
        tuple(sorted(shuffled[:n_validation])),
        tuple(sorted(shuffled[n_validation : n_validation + n_test])),
    )
