"""Evaluation at a site, and what nothing else may see."""

from __future__ import annotations

import ast
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from client.site import Site
from client.store.reading_shelf import Opening
from protocol.codec import digest
from protocol.records import Arrays, Grant, SiteEvaluation
from protocol.study import Study

Ask = Callable[..., Any]
Read = Callable[..., int]
MakeSite = Callable[..., Site]
MakeStudy = Callable[..., Study]
Weights = Callable[[Study], Arrays]
Purposes = Callable[[Site, Study, int], list[str]]
Sides = Callable[[Site, Study], tuple[set[int], set[int]]]


ROOT = Path(__file__).parents[3]


def test_evaluate_is_none_where_nothing_is_labeled(
    tiny_study: MakeStudy, tiny_site: MakeSite, first_weights: Weights, ask: Ask
) -> None:
    study = tiny_study()
    site = tiny_site(study, locked=0)
    told = ask(site, study, "evaluate", arrays=first_weights(study))
    assert told == SiteEvaluation("north", None, None)


def test_evaluate_measures_settled_audit_cases_and_counts_the_others(
    tiny_study: MakeStudy,
    tiny_site: MakeSite,
    first_weights: Weights,
    ask: Ask,
    read_cases: Read,
    purposes: Purposes,
    audit_and_pool: Sides,
) -> None:
    study = tiny_study("audit.grant=0.99")
    site, arrays = tiny_site(study), first_weights(study)
    audit, _ = audit_and_pool(site, study)
    assert len(audit) >= 6
    ask(site, study, "report", arrays=arrays)
    ask(site, study, "select", grant=Grant(6, ""))
    kinds = purposes(site, study, 0)
    assert kinds.count("audit") == 6
    read_cases(site.store, study, most=2, say=lambda opening, row: ("unsure", ()))
    doubt = ask(site, study, "evaluate", arrays=arrays)  # one case, left unsure by both readers
    assert (doubt.audit.cases, doubt.audit.unsettled, doubt.audit.patients) == (0, 1, 0)
    assert (doubt.locked.cases, doubt.locked.patients, doubt.locked.clustered) == (8, 4, True)
    read_cases(site.store, study)
    told = ask(site, study, "evaluate", round=1, arrays=arrays)
    assert (told.audit.cases, told.audit.unsettled) == (4, 1)
    assert told.audit.patients <= 4
    assert told.locked.cases == 8


def run_poisoned(
    study: Study,
    site: Site,
    arrays: Arrays,
    ask: Ask,
    read_cases: Read,
    truth: Callable[[int], tuple[int, ...]],
    *,
    lie: bool,
) -> tuple[list[Any], list[str], list[str]]:
    """Three cycles; choices, hashes of what training reads and writes, and of the evaluations."""

    def say(opening: Opening, row: int) -> Any:
        value = truth(row)
        return "answered", value[::-1] if lie and opening.purpose == "audit" else value

    choices, trained, measured = [], [], []
    for cycle in range(3):
        report = ask(site, study, "report", cycle=cycle, arrays=arrays)
        ask(site, study, "select", cycle=cycle, grant=Grant(10, ""))
        choices += [report, site.store.readings.opened(study.identity, cycle)]
        read_cases(site.store, study, cycle, say=say)
        update = ask(site, study, "train", cycle=cycle, arrays=arrays)
        arrays = update.arrays
        trained += [digest(arrays), repr((update.weight, update.loss, update.steps))]
        told = ask(site, study, "evaluate", cycle=cycle, round=1, arrays=arrays)
        measured += [digest({"a": told.audit.sums, "l": told.locked.sums})]
    return choices, trained, measured


@pytest.mark.slow
def test_lies_about_audit_and_locked_cases_change_no_choice_and_no_weight(
    tmp_path: Path,
    tiny_study: MakeStudy,
    tiny_site: MakeSite,
    first_weights: Weights,
    ask: Ask,
    read_cases: Read,
    truth: Callable[[int], tuple[int, ...]],
) -> None:
    study = tiny_study("audit.grant=0.3", "query.strategy=badge", "budget.total=30")
    arrays = first_weights(study)
    honest = tiny_site(study, folder=tmp_path / "honest")
    lied = tiny_site(study, folder=tmp_path / "lied", locked_truth=lambda row: truth(row + 1))
    one = run_poisoned(study, honest, arrays, ask, read_cases, truth, lie=False)
    two = run_poisoned(study, lied, arrays, ask, read_cases, truth, lie=True)
    assert sum(o.purpose == "audit" for o in one[0][1]) == 3
    assert one[0] == two[0]
    assert one[1] == two[1]
    assert all(a != b for a, b in zip(one[2], two[2], strict=True))  # the lies did arrive


@pytest.mark.slow
def test_of_all_steps_evaluate_alone_reads_audit_labels_and_locked_answers() -> None:
    found: dict[str, set[str]] = {"audit": set(), "locked": set()}
    for package in ("client", "server", "strategies", "protocol"):
        for path in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if not isinstance(node, ast.Attribute) or node.attr not in found:
                    continue
                owner = ast.unparse(node.value)
                if owner.endswith(("labels", "shelf") if node.attr == "audit" else "cases"):
                    found[node.attr].add(path.relative_to(ROOT).as_posix())
    site = {"client/exports/tables.py"}  # for its own people
    assert found == {
        "audit": {"client/steps/evaluate.py"} | site,
        "locked": {"client/steps/evaluate.py"},
    }
