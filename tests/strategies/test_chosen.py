from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from numpy.random import default_rng

from protocol.study import Study, StudyError, parse
from strategies.aggregation import AGGREGATION, FedAdam
from strategies.budget import BUDGET, Hours, UncertaintyMass
from strategies.chosen import UNTRAINED, decisions
from strategies.consensus import CONSENSUS, DawidSkene, Majority
from strategies.query import QUERY, CostWeighted
from strategies.stopping import STOPPING, Stabilised


def study(changes: Mapping[str, Mapping[str, Any]] | None = None) -> Study:
    names = ("normal", "opacity")
    document: dict[str, Any] = {
        "schema": 1,
        "name": "chosen",
        "task": {"classes": [{"name": n, "definition": n} for n in names]},
    }
    for table, keys in (changes or {}).items():
        document[table] = {**document.get(table, {}), **keys}
    return parse(document)


@pytest.mark.parametrize(
    "budget",
    [
        {"policy": "uniform", "exploration": 0.0},
        {"policy": "safe", "exploration": 0.01},
        {"policy": "safe", "exploration": 0.0, "arguments": {"minutes": "always"}},
        *({"policy": name, "unit": "minutes"} for name in ("proportional", "ucb", "uniform")),
    ],
)
def test_a_policy_is_accepted_with_the_budget_that_it_can_share(budget: dict[str, Any]) -> None:
    assert decisions(study({"budget": budget})).policy.allocate([], [], 0, default_rng(0)) == {}


def test_a_study_without_choices_gets_the_defaults() -> None:
    chosen = decisions(study())
    assert isinstance(chosen.query, type(QUERY["ward"]()))
    assert isinstance(chosen.cold_start, type(QUERY["random"]()))
    assert chosen.policy == BUDGET["uniform"](floor=1)
    assert chosen.aggregator == AGGREGATION["fedavg"]()
    assert chosen.consensus == Majority()
    assert chosen.stopping == Stabilised()


def test_arguments_and_the_studys_own_settings_arrive() -> None:
    chosen = decisions(
        study(
            {
                "task": {"kind": "multi-label"},
                "budget": {"policy": "uncertainty-mass", "floor": 4, "arguments": {"trust": 0.25}},
                "aggregation": {"name": "fedadam", "arguments": {"tau": 0.01}},
                "reading": {"consensus": "dawid-skene", "arguments": {"smoothing": 2}},
                "stopping": {"rule": "stabilised", "arguments": {"cycles": 5}},
            }
        )
    )
    assert chosen.policy == UncertaintyMass(trust=0.25, floor=4)
    assert chosen.aggregator == FedAdam(tau=0.01)
    assert chosen.consensus == DawidSkene(multi_label=True, smoothing=2)
    assert chosen.stopping == Stabilised(cycles=5)


def test_hours_reckon_with_the_studys_expected_seconds_and_with_no_others() -> None:
    budget: dict[str, Any] = {"policy": "hours", "seconds": 90.0, "arguments": {"hours": 2.0}}
    assert decisions(study({"budget": budget})).policy == Hours(hours=2.0, floor=1, seconds=90.0)
    budget["arguments"]["seconds"] = 60.0
    with pytest.raises(StudyError, match=r"seconds = 60.0: accepted is budget.seconds instead"):
        decisions(study({"budget": budget}))


@pytest.mark.parametrize("name", sorted(set(BUDGET) - {"hours", "learning-curve", "threshold"}))
def test_a_policy_that_counts_no_cases_takes_several_readings_of_each(name: str) -> None:
    changes: dict[str, Any] = {"budget": {"policy": name}, "reading": {"readers_per_case": 2}}
    if name == "coverage-deficit":
        changes["query"] = {"strategy": "federated-typiclust"}
    decisions(study(changes))


@pytest.mark.parametrize(
    ("table", "key", "row"),
    [("query", "strategy", n) for n in sorted(QUERY)]
    + [("budget", "policy", n) for n in sorted(BUDGET)]
    + [("aggregation", "name", n) for n in sorted(AGGREGATION)]
    + [("reading", "consensus", n) for n in sorted(CONSENSUS)]
    + [("stopping", "rule", n) for n in sorted(STOPPING)],
)
def test_every_name_of_every_table_can_be_chosen(table: str, key: str, row: str) -> None:
    changes: dict[str, Any] = {table: {key: row}, "network": {"name": "tiny-cnn", "dropout": 0.2}}
    if row == "coverage-deficit":
        changes["query"] = {"strategy": "federated-typiclust"}
    decisions(study(changes))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {"query": {"strategy": "entropi"}},
            "query.strategy = 'entropi': accepted is one of alfa-mix, badge, ",
        ),
        (
            {"query": {"cold_start": "x"}},
            "query.cold_start = 'x': accepted is one of alfa-mix, badge, ",
        ),
        (
            {"budget": {"policy": "fair"}},
            "budget.policy = 'fair': accepted is one of class-deficit, coverage-deficit, ",
        ),
        (
            {"budget": {"policy": "coverage-deficit"}},
            "budget.policy = 'coverage-deficit': it reads clusters that the sites tell of for "
            "query.strategy = 'federated-typiclust' alone, accepted is that strategy, or another ",
        ),
        *(
            (
                {"budget": {"policy": name, "exploration": 0.0}},
                f"budget.policy = '{name}': it goes by losses on cases that are drawn at random, "
                "accepted with it is budget.exploration above 0",
            )
            for name in ("learning-curve", "safe", "thompson", "ucb", "worst-site")
        ),
        *(
            (
                {"budget": {"policy": name, "unit": "minutes"}},
                f"budget.policy = '{name}': a unit of its budget is one reading, accepted with it "
                "is budget.unit = 'readings'",
            )
            for name in ("hours", "learning-curve", "neyman", "safe", "threshold")
        ),
        *(
            (
                {"budget": {"policy": name}, "reading": reading},
                f"budget.policy = '{name}': a unit of its budget reads one case, and here a case "
                f"takes {taken} readings; accepted with it are reading.readers_per_case = 1, "
                "reading.second_share = 0 and reading.repeats = 0",
            )
            for name in ("hours", "learning-curve", "threshold")
            for reading, taken in (
                ({"readers_per_case": 2}, "2"),
                ({"second_share": 0.25}, "1.25"),
                ({"repeats": 0.1}, "1.1"),
            )
        ),
        (
            {"aggregation": {"name": "sum"}},
            "aggregation.name = 'sum': accepted is one of fedadam, fedavg, fedprox",
        ),
        (
            {"reading": {"consensus": "loudest"}},
            "reading.consensus = 'loudest': accepted is one of dawid-skene, majority",
        ),
        (
            {"stopping": {"rule": "now"}},
            "stopping.rule = 'now': accepted is one of gain-per-hour, never, overall-uncertainty, "
            "several, stabilised",
        ),
        ({"stopping": {"arguments": {"cycels": 2}}}, "stopping.rule = 'stabilised': "),
        ({"stopping": {"arguments": {"threshold": "high"}}}, "stopping.rule = 'stabilised': "),
        ({"stopping": {"arguments": {"threshold": 2.0}}}, "stopping.rule = 'stabilised': "),
        ({"query": {"arguments": {"power": 1}}}, "query.strategy = 'ward': "),
        (
            {"budget": {"arguments": {"floor": 3}}},
            "budget.arguments.floor = 3: accepted is budget.floor instead",
        ),
        (
            {"reading": {"arguments": {"multi_label": True}}},
            "reading.arguments.multi_label = True: accepted is task.kind instead",
        ),
        (
            {"query": {"strategy": "my_lab.ideas:Novelty"}},
            "query.strategy = 'my_lab.ideas:Novelty': ",
        ),
        (
            {"query": {"strategy": "bald"}},
            "query.strategy = 'bald': it compares predictions under dropout, accepted is a network "
            "with network.dropout above 0, and here 'resnet' has none",
        ),
        (
            {"query": {"strategy": "bald"}, "network": {"name": "efficientnet"}},
            "query.strategy = 'bald': it compares predictions under dropout",
        ),
        (
            {"query": {"strategy": "coreset", "cost_weighted": True}},
            "query.cost_weighted = True: query.strategy = 'coreset' ranks by no score, accepted is "
            "one of bald, cost-aware, entropy, fedal, kafal, "
            "least-confidence, margin",
        ),
    ],
)
def test_refusals_name_the_key_the_value_and_what_is_accepted(
    changes: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(StudyError) as refused:
        decisions(study(changes))
    assert str(refused.value).startswith(sentence)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("name", sorted(QUERY))
def test_cold_start_asks_no_untrained_model_what_it_believes(name: str) -> None:
    believes = QUERY[name]().needs.signals - UNTRAINED
    asked = study({"query": {"cold_start": name}})
    cold = {"random", "coreset", "typiclust", "federated-typiclust", "probcover", "maxherding"}
    assert bool(believes) == (name not in cold)
    if not believes:
        decisions(asked)
        return
    with pytest.raises(
        StudyError, match=rf"query.cold_start = '{name}': it reads .*(probs|logits|head)"
    ):
        decisions(asked)


def test_needs_of_ones_own_are_written_as_ours_are(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my_plain_ideas.py").write_text(
        "from dataclasses import dataclass\n"
        "@dataclass(frozen=True)\n"
        "class First:\n"
        "    needs = frozenset({'features'})\n"
        "    def select(self, pool, k, rng): ...\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    for key in ("strategy", "cold_start"):
        asked = study({"query": {key: "my_plain_ideas:First"}})
        with pytest.raises(StudyError, match=f"^query.{key} = .*: its needs are frozenset, acc"):
            decisions(asked, allow_import=True)


def test_looks_of_the_images_are_not_held_against_a_cold_start() -> None:
    with pytest.raises(StudyError) as refused:
        decisions(study({"query": {"cold_start": "ward"}}))
    assert "it reads head_bias, head_weights, probs of a model" in str(refused.value)
    assert "looks" not in str(refused.value)


def test_cost_weighting_multiplies_a_score_by_the_studys_costs() -> None:
    cost = ((0.0, 1.0), (5.0, 0.0))
    chosen = decisions(
        study({"task": {"cost": cost}, "query": {"strategy": "entropy", "cost_weighted": True}})
    )
    assert isinstance(chosen.query, CostWeighted)
    assert chosen.query.cost == cost
    assert isinstance(chosen.query.inner, type(QUERY["entropy"]()))
    assert not isinstance(chosen.cold_start, CostWeighted)


def test_a_strategy_outside_the_project_is_for_simulations_only(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my_ward_ideas.py").write_text(
        "from dataclasses import dataclass\n"
        "from strategies.pool import Needs\n"
        "@dataclass(frozen=True)\n"
        "class Last:\n"
        "    needs = Needs()\n"
        "    def select(self, pool, k, rng):\n"
        "        return list(range(pool.size))[-k:]\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    asked = study({"query": {"strategy": "my_ward_ideas:Last"}})
    assert type(decisions(asked, allow_import=True).query).__name__ == "Last"
    with pytest.raises(StudyError, match=r"query.strategy = 'my_ward_ideas:Last': "):
        decisions(asked)
