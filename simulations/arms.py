"""What is compared in a simulation: an arm, as it is named on the command line.

    STRATEGY@POLICY+key=value~attack

Only the strategy must be there: "default" is the study file's own, "full" the supervised bound.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from protocol.study import Study, StudyError

FULL = "full"
"""The arm that labels the whole pool at once: the fully supervised bound."""

_NAME = re.compile(r"([^@+~]+)(?:@([^@+~]+))?((?:\+[^@+~=]+=[^@+~]+)*)(?:~([^@+~]+))?")
_BRACKETS = {"[": 1, "{": 1, "]": -1, "}": -1}


class ArmError(StudyError):
    """An arm whose name cannot be read, in one sentence."""


@dataclass(frozen=True, slots=True)
class Arm:
    """An arm's name in its parts.

    Attributes:
        strategy: "default", "full", the name of a query strategy, or "module:Class".
        policy: of the budget; empty for the study's own.
        sets: keys of the study file and their values, "training.loss=evidential".
        attack: what one of the sites does; empty where all are honest.
    """

    strategy: str
    policy: str = ""
    sets: tuple[str, ...] = ()
    attack: str = ""

    @classmethod
    def parse(cls, name: str) -> Arm:
        """The arm of that name.

        Raises:
            ArmError: it is not written as one.
        """
        found = _NAME.fullmatch(name)
        if found is None:
            raise ArmError(
                f"arm {name!r}: accepted is a strategy, then @policy, then +key=value of the study "
                "file as often as wanted, then ~attack"
            )
        strategy, policy, sets, attack = found.groups(default="")
        if strategy == FULL and policy:
            raise ArmError(f"arm {name!r}: the bound shares no budget; accepted is {FULL}")
        return cls(strategy, policy, tuple(s for s in sets.split("+") if s), attack)

    @property
    def full(self) -> bool:
        """Whether it is the fully supervised bound."""
        return self.strategy == FULL


def names_of(text: str) -> list[str]:
    """The arms' names in a list with commas; those within brackets belong to a value."""
    names, depth = [""], 0
    for letter in text:
        depth = max(depth + _BRACKETS.get(letter, 0), 0)
        if letter == "," and not depth:
            names.append("")
        else:
            names[-1] += letter
    return [name.strip() for name in names if name.strip()]


def known_names(word: str, text: str, table: Iterable[str]) -> list[str]:
    """The names in a list with commas, each of them in the table.

    Raises:
        ValueError: one that is not; the word says what it should be.
    """
    names, known = names_of(text), list(table)
    for name in names:
        if name not in known:
            raise ValueError(f"{word} {name!r}: accepted is one of {', '.join(known)}")
    return names


def with_attacks(arms: str, attacks: str) -> list[str]:
    """The arms of a list with commas, each followed by itself under every attack of another.

    The supervised bound is not attacked, nor an arm that is under attack already.
    """
    wanted = names_of(attacks)

    def under(arm: str) -> list[str]:
        parts = Arm.parse(arm)
        return [] if parts.full or parts.attack else [f"{arm}~{attack}" for attack in wanted]

    return [name for arm in names_of(arms) for name in (arm, *under(arm))]


def folder_name(arm: str) -> str:
    """An arm's name as that of a folder."""
    return re.sub(r"[^A-Za-z0-9@+=~_.,-]", "-", arm)


def beginning(study: Study) -> tuple[int, dict[str, object]]:
    """What a study's first weights hang on; arms of one seed share them."""
    return study.seed, study.network.model_dump(exclude={"dropout"})
