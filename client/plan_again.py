"""What of a study's plan is about cases read more than once, and about practice."""

from __future__ import annotations

from protocol.study import Study


def again(study: Study) -> tuple[str, ...]:
    """A sentence for each of them that the study asks for."""
    rule, told = study.reading, []
    if rule.second_share:
        told.append(
            f"{rule.second_share:.0%} of the cases, drawn by chance, go to one physician more."
        )
    if rule.repeats:
        told.append(
            f"{rule.repeats:.0%} of a physician's cases come back to them unmarked, to see how "
            "consistent they are; no number about it leaves this site."
        )
    if rule.practice:
        cases = "case" if rule.practice == 1 else "cases"
        told.append(
            f"Before the first case each physician answers {rule.practice} practice {cases} of "
            "this site, if it has made such a set."
        )
    return tuple(told)
