"""One run: one arm with one seed on one track, by the product's own code, as one line of results.

The server's course, the sites' steps and the simulated readers are those of `wardround simulate`;
the oracle refuses a look beyond the budget.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections import Counter
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from client.cases.cases import Cases
from protocol.records import UpdateNumbers
from protocol.study import Study, document
from server.app import carry_out as serve
from server.assignment import Assignment
from server.events import Event
from server.ledger import Ledger
from simulations.arms import Arm
from simulations.benchmarks.labels.code import attacking, version
from simulations.benchmarks.labels.metered import Meter, MeteredGrid
from simulations.benchmarks.labels.recipe import MARKED, cell_of
from simulations.benchmarks.labels.results import trimmed
from simulations.benchmarks.labels.tracks import Scored, track_of
from simulations.engines.local import with_grid
from simulations.hospitals import Hospitals
from simulations.plan import Plan, Task
from simulations.run import carry_out


@dataclass(frozen=True, slots=True)
class Job:
    """What is run.

    Attributes:
        track: its name.
        cell: of `recipe.CELLS`.
        scored_on: the split.
        arm: as `simulations.arms` reads it.
        seed: of sites, first weights, first labels and everything else.
        file: of track D, where it is another one; empty otherwise.
    """

    track: str
    cell: str
    scored_on: Scored
    arm: str
    seed: int
    file: str = ""

    def plan(self) -> Plan:
        """The simulation that it is a run of."""
        track = track_of(self.track, Path(self.file) if self.file else None)
        study = cell_of(track.study, self.cell)
        arms = (self.arm, f"{self.arm.partition('~')[0]}~backdoor")  # the mark is looked at
        told = arms if self.cell in MARKED else arms[:1]
        return Plan(document(study), track.name, told, (self.seed,), self.scored_on)

    def study(self) -> Study:
        """The study that it runs."""
        return self.plan().study_of(self.arm, self.seed)

    def cases(self) -> Cases:
        """The cases of its seed, the same for every arm."""
        return _cases(self.track, self.file, self.seed, self.scored_on)

    def key(self) -> str:
        """Hash of all that decides its numbers: study with its defaults, rehearsal, cases, code."""
        study = self.study()
        said = study.model_dump(mode="json", by_alias=True)
        content = [said, _digest(self.cases()), version(study), self.scored_on]
        if attack := Arm.parse(self.arm).attack:
            content += [attack, attacking()]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:32]


@lru_cache(maxsize=2)
def _cases(track: str, file: str, seed: int, scored_on: Scored) -> Cases:
    return track_of(track, Path(file) if file else None).cases(seed, scored_on)


@lru_cache(maxsize=2)  # holds the cases, so that no others can take their identity
def _digest(cases: Cases) -> str:
    return cases.digest


def run(job: Job, scratch: Path | None = None) -> dict[str, Any]:
    """The run's line of results; its databases are gone afterwards.

    Args:
        job: what is run.
        scratch: where its folder is made; without it where the system puts such.
    """
    plan, cases, meter = job.plan(), job.cases(), Meter()
    began, cpu = time.monotonic(), time.process_time()
    with TemporaryDirectory(prefix="labels-", dir=scratch) as folder:
        task = Task(Path(folder), job.arm, job.seed)

        def engine(hospitals: Hospitals, assignment: Assignment) -> None:
            with_grid(hospitals.homes, 1, lambda g: serve(assignment, MeteredGrid(g, meter)))

        carry_out(plan, cases, task, engine, _silent)
        read = _read(task.folder) | _let_in(task.folder)
    study = job.study()
    return {
        "kind": "run",
        "key": job.key(),
        **asdict(job),
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "code": version(study),
        "cases": _digest(cases),
        "wall": round(time.monotonic() - began, 2),
        "cpu": round(time.process_time() - cpu, 2),
        "step_seconds": {k: round(v, 3) for k, v in sorted(meter.seconds.items())},
        "bytes_down": dict(sorted(meter.down.items())),
        "bytes_up": dict(sorted(meter.up.items())),
        **read,
    }


def _silent(event: Event) -> None:
    """Nobody watches."""


def _read(folder: Path) -> dict[str, Any]:
    """What a finished run's folder tells, as far as a line of results keeps it."""
    account = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    lines = (folder / "cycles.jsonl").read_text(encoding="utf-8").splitlines()
    choices = (folder / "choices.jsonl").read_bytes()
    return {
        "identity": account["study"],
        "weights": account["weights"],
        "versions": account["versions"],
        "git": account["git"],
        "looks": account["looks"],
        "study": (folder / "study.toml").read_text(encoding="utf-8"),
        "choices": hashlib.sha256(choices).hexdigest()[:16],
        "cycles": [trimmed(json.loads(line)) for line in lines],
        "attacker": account["attacker"],
        "backdoor": account.get("backdoor"),
        "privacy": account["privacy"],
    }


def _let_in(folder: Path) -> dict[str, Any]:
    """How many rounds there were, and of how many the server left a site's update out, by site."""
    ledger = Ledger.look(folder / "ledger.db")
    try:
        stages = [c.stage for c in ledger.committed() if c.stage.step == "train"]
        told = [ledger.records(stage, UpdateNumbers) or {} for stage in stages]
    finally:
        ledger.close()
    out = Counter(u.site for round_ in told for u in round_.values() if u.left_out)
    return {"rounds": len(stages), "left_out": dict(sorted(out.items()))}
