"""What a private study may choose, and what is known of the privacy of each choice."""

from __future__ import annotations

from collections.abc import Mapping

from protocol.study import Study, StudyError

READS: Mapping[str, frozenset[str]] = {
    "uniform": frozenset({"pool"}),
    "proportional": frozenset({"pool"}),
    "uncertainty-mass": frozenset({"pool", "uncertainty"}),
}
"""Budget policies that a private study may have, and the noisy statistics that each one reads."""

PER_RECORD: frozenset[str] = frozenset()
"""Query strategies that decide on each case alone, by a released model and a released threshold."""

CONDITIONAL = "training epsilon given the chosen cases; pool membership unbounded"
"""What can be said of every strategy that looks at all cases to choose some."""


def rule_of(strategy: str) -> str:
    """What is known of a query strategy's privacy, in words."""
    if strategy in PER_RECORD:
        return "decides on each case alone; training epsilon covers pool membership"
    return f"looks at all cases of the pool to choose some: {CONDITIONAL}"


def composes(study: Study) -> bool:
    """Whether one epsilon covers training and querying."""
    return {study.query.strategy, study.query.cold_start} <= PER_RECORD


def check_choices(study: Study) -> None:
    """Refuse what cannot be told privately; a study that is not private may choose anything.

    Raises:
        StudyError: one sentence that begins with the study's key.
    """
    if study.privacy is None:
        return
    if study.budget.policy not in READS:
        raise StudyError(
            f"budget.policy = {study.budget.policy!r}: it reads what a private study's sites do "
            f"not tell, accepted is one of {', '.join(sorted(READS))}"
        )
    if study.reading.consensus != "majority":
        raise StudyError(
            f"reading.consensus = {study.reading.consensus!r}: accepted is 'majority' in a private "
            "study, where one patient's readings must not change another's label"
        )
