"""What a private study may choose, and what is known of the privacy of each choice."""

from __future__ import annotations

from collections.abc import Mapping

from protocol.clusters import NAME, asks_by_clusters
from protocol.study import Study, StudyError

READS: Mapping[str, frozenset[str]] = {
    "uniform": frozenset({"pool"}),
    "proportional": frozenset({"pool"}),
    "uncertainty-mass": frozenset({"pool", "uncertainty"}),
}
"""Budget policies that a private study may have, and the noisy statistics that each one reads."""

PER_RECORD = frozenset({"random", "threshold-random"})
"""Query strategies that give each case its turn by what is released and by a number of its own.

Which numbers the cases draw is independent, so with the same ones a pool with one patient more
chooses the same patients, but that one for at most one other.
"""

THRESHOLD = "threshold-random"
"""The one of them that reads a noisy threshold."""

CONDITIONAL = "training epsilon given the chosen cases; pool membership unbounded"
"""What can be said of every strategy that looks at all cases to choose some."""

COVERED = "one epsilon covers training and which cases are chosen"
"""What can be said where every case has its turn alone, and the training pays for that."""


def rule_of(strategy: str) -> str:
    """What is known of a query strategy's privacy, in words."""
    if strategy in PER_RECORD:
        return (
            "gives each case its turn alone, so that one patient displaces at most one other: with "
            f'privacy.querying = "covered" {COVERED}, at about twice the noise; else {CONDITIONAL}'
        )
    return f"looks at all cases of the pool to choose some: {CONDITIONAL}"


def composes(study: Study) -> bool:
    """Whether one epsilon covers training and querying."""
    return study.privacy is not None and study.privacy.querying == "covered"


def check_choices(study: Study) -> None:
    """Refuse what cannot be told privately; a study that is not private may choose anything.

    Raises:
        StudyError: one sentence that begins with the study's key.
    """
    _check_clusters(study)
    if study.privacy is None:
        return
    if study.budget.policy not in READS:
        raise StudyError(
            f"budget.policy = {study.budget.policy!r}: it reads what a private study's sites do "
            f"not tell, accepted is one of {', '.join(sorted(READS))}"
        )
    _check_covered(study)
    if study.reading.consensus != "majority":
        raise StudyError(
            f"reading.consensus = {study.reading.consensus!r}: accepted is 'majority' in a private "
            "study, where one patient's readings must not change another's label"
        )


def reads_threshold(study: Study, cycle: int) -> bool:
    """Whether the cases of that cycle are chosen by a threshold."""
    return (study.query.strategy if cycle else study.query.cold_start) == THRESHOLD


def _check_covered(study: Study) -> None:
    if not composes(study):
        return
    for key, name in (
        ("query.strategy", study.query.strategy),
        ("query.cold_start", study.query.cold_start),
    ):
        if name not in PER_RECORD:
            raise StudyError(
                f"{key} = {name!r}: it looks at all cases to choose some, accepted with "
                f'privacy.querying = "covered" is one of {", ".join(sorted(PER_RECORD))}'
            )


def _check_clusters(study: Study) -> None:
    """Refuse clusters where what a site tells of must be noisy or masked."""
    if not asks_by_clusters(study) or (study.privacy is None and not study.aggregation.secure):
        return
    key = "query.strategy" if study.query.strategy == NAME else "query.cold_start"
    where = "in a private study" if study.privacy is not None else "where aggregation.secure = true"
    raise StudyError(
        f"{key} = {NAME!r}: means of features leave each site as they are, accepted is another "
        f"strategy {where}"
    )
