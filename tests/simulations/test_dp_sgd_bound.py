"""The supervised bound of a private study trains on as many patients a step as the study says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from client.home import open_store
from client.privacy.spending import TRAINING, public_cases
from protocol.study import parse
from simulations.plan import plan_of
from simulations.simulate import simulate

STUDY = {
    "schema": 1,
    "name": "bound",
    "task": {
        "image": [1, 12, 12],
        "classes": [{"name": "a", "definition": "a"}, {"name": "b", "definition": "b"}],
    },
    "network": {"name": "mlp", "hidden": [4]},
    "training": {
        "rounds_per_cycle": 1, "min_steps": 1, "max_steps": 1, "batch_size": 16, "start": "warm",
    },
    "budget": {"total": 20, "first": 10, "per_cycle": 10},
    "audit": {"patients": 0.2},
    "privacy": {"epsilon": 8.0},
    "simulation": {"sites": 2, "split": "iid"},
}  # fmt: skip


@pytest.mark.slow
def test_dp_sgd_bound_knows_its_cases_by_the_grants(tmp_path: Path) -> None:
    content = {}
    for split, n in (("train", 400), ("val", 4), ("test", 40)):
        content[f"{split}_images"] = np.zeros((n, 12, 12), dtype=np.uint8)
        content[f"{split}_labels"] = (np.arange(n) % 2)[:, None]
    np.savez(tmp_path / "easy.npz", **content)
    plan = plan_of(parse(STUDY), str(tmp_path / "easy.npz"), ["full"], [0])
    simulate(plan, tmp_path / "run", lambda task, event: None)
    study = plan.study_of("full", 0)
    for number in (1, 2):
        home = tmp_path / "run" / "full" / "seed-0" / "sites" / f"site-0{number}"
        store = open_store(home, durable=False)
        labeled = len(store.labels.settled(study.identity)[0])
        reckoned = public_cases(store, study, 0)
        [charge] = [c for c in store.privacy.all(study.identity) if c.what == TRAINING]
        store.close()
        assert labeled > 120
        assert abs(reckoned - labeled) < 40  # noise of the count, and of the draw of audit patients
        assert charge.share == pytest.approx(16 / reckoned)
