"""A simulated study sends nothing that a real one could not: every record passes the same gate."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from client.audit.chain import lines
from client.audit.verify import verify
from client.home import open_store
from protocol.study import parse
from simulations.plan import plan_of
from simulations.simulate import simulate

ROUNDS, CYCLES, SITES = 2, 2, 3


@pytest.mark.slow
def test_every_record_of_a_simulated_study_passed_and_has_its_line(tmp_path: Path) -> None:
    study = parse(
        {
            "schema": 1,
            "name": "small",
            "task": {
                "image": [1, 12, 12],
                "classes": [{"name": n, "definition": n} for n in ("clear", "dense")],
            },
            "network": {"name": "tiny-cnn"},
            "training": {"rounds_per_cycle": ROUNDS, "min_steps": 1, "max_steps": 2},
            "budget": {"total": 24, "per_cycle": 12},
            "simulation": {"sites": SITES},
        }
    )
    simulate(plan_of(study, "phantom", ["default"], [0]), tmp_path, lambda task, event: None)
    homes = sorted((tmp_path / "default" / "seed-0" / "sites").iterdir())
    assert len(homes) == SITES
    for home in homes:
        store = open_store(home, durable=False)
        assert verify(store, home.name, None).whole
        found = Counter((x.entry.event, x.entry.record, x.entry.words) for x in lines(store))
        store.close()
        assert found == {
            ("left", "Hello", ""): 1,
            ("left", "SiteReport", ""): CYCLES,
            ("left", "Selected", ""): CYCLES,
            ("left", "SiteProgress", ""): CYCLES,
            ("left", "SiteUpdate", ""): CYCLES * ROUNDS,
            ("left", "SiteEvaluation", ""): CYCLES + 1,
        }
