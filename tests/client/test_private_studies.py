"""Which studies may be private, and what the plan says of one that is or is not."""

from __future__ import annotations

import pytest

from client.privacy.words import plan_words
from protocol.study import Study, StudyError, parse
from strategies.chosen import decisions
from strategies.private import CONDITIONAL

CLASSES = [{"name": "a", "definition": "a"}, {"name": "b", "definition": "b"}]


def _study(**tables: object) -> Study:
    return parse(
        {
            "schema": 1,
            "name": "private",
            "task": {"classes": CLASSES, "image": [1, 8, 8]},
            "network": {"name": "tiny-cnn"},
            "training": {"start": "warm"},
            "query": {"strategy": "entropy"},
            "budget": {"total": 24, "per_cycle": 12},
            "privacy": {"epsilon": 4.0},
        }
        | tables
    )


@pytest.mark.parametrize(
    ("tables", "said"),
    [
        ({"training": {"start": "scratch"}}, "trained anew in each of 2 cycles"),
        ({"training": {"start": "warm", "balancing": "sampling"}}, "training.balancing"),
        ({"training": {"start": "warm", "loss": "evidential"}}, "training.loss"),
        ({"task": {"kind": "multi-label", "classes": CLASSES}}, "task.kind"),
        ({"budget": {"total": 24, "per_cycle": 12, "policy": "ucb"}}, "budget.policy"),
        (
            {"budget": {"total": 24, "per_cycle": 12, "policy": "coverage-deficit"}},
            "budget.policy = 'coverage-deficit': it reads what a private study's sites do not tell",
        ),
        ({"reading": {"consensus": "dawid-skene"}}, "reading.consensus"),
    ],
)
def test_privacy_account_what_cannot_be_private_is_refused(
    tables: dict[str, object], said: str
) -> None:
    with pytest.raises(StudyError, match=said):
        decisions(_study(**tables))


def test_privacy_account_an_arm_leaves_privacy_out() -> None:
    assert _study(privacy="off").privacy is None
    assert "no differential privacy" in plan_words(_study(privacy="off"))[0]
    assert any(CONDITIONAL in words for words in plan_words(_study()))
