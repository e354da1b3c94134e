"""Why a study's stopping rule will never speak, where that is certain before it begins."""

from __future__ import annotations

from protocol.study import Study


def mute_in(study: Study) -> str:
    """Why a study's rule has nothing to look at; see `mute`."""
    private, share = study.privacy is not None, study.budget.exploration
    return mute(study.stopping.rule, private=private, exploration=share)


def mute(rule: str, *, private: bool, exploration: float) -> str:
    """Why a rule has nothing to look at, in words; empty where it has.

    Args:
        rule: a name of the table.
        private: whether the study has a table [privacy].
        exploration: its budget's share.
    """
    if rule == "never":
        return ""
    if private:
        return "the sites of a private study do not tell what stopping rules look at"
    if rule == "gain-per-hour" and exploration == 0:
        return "budget.exploration = 0, so that nothing is drawn at random to measure a gain on"
    return ""
