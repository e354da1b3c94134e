"""What is simulated: one study file, one source of cases, arms and seeds; and where it goes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal

from pydantic import TypeAdapter

from client.cases.cases import Cases
from client.cases.open import open_cases
from protocol.files import replace_file
from protocol.study import Study, StudyError, document, parse
from simulations.arms import FULL, Arm, beginning, folder_name
from simulations.attacks import ATTACKS
from simulations.documents import SCHEMA, NotARun, begun, read, typed
from strategies.chosen import decisions
from strategies.query import QUERY

_OF_THE_CALL = {"moved", "asked", "start_file"}
"""What a plan's file does not keep."""

_WEIGHTS = "weights.safetensors"
"""A simulation's copy of its first weights, where they come from a file."""

_LONGEST = 255
"""Letters of a file's name, one byte each in an arm's folder, that every file system takes."""


class PlanError(ValueError):
    """A simulation that cannot be done as asked, in one sentence."""


@dataclass(frozen=True, slots=True)
class Plan:
    """One call of `wardround simulate`.

    Attributes:
        study: the study file as a document, overrides applied.
        source: of the cases, as `client.cases.open` takes it; what the folder is known by.
        arms: what is compared; see `study_of`.
        seeds: each is a split, first weights and readers of its own, shared by all arms.
        scored_on: the split that serves as locked test, "test" or "val"; the other is left out.
        engine: "local" or "ray".
        workers: processes; they change no bit of any result.
        start: hash of the file of first weights, one for all seeds; empty: each seed draws its own.
        moved: where the cases are now, if no longer at `source`; of this call, and not kept.
        asked: how many sites this call asked for, if it did; not kept either.
        start_file: where this call has the first weights; empty: the folder's copy. Not kept.
    """

    study: dict[str, Any]
    source: str
    arms: tuple[str, ...]
    seeds: tuple[int, ...]
    scored_on: Literal["test", "val"] = "test"
    engine: Literal["local", "ray"] = "local"
    workers: int = 1
    start: str = ""
    moved: str = ""
    asked: int | None = None
    start_file: str = ""

    @property
    def opened(self) -> str:
        """Where the cases are opened."""
        return self.moved or self.source

    def moved_to(self, source: str) -> Plan:
        """The plan with its cases where they are now; itself where they have not moved.

        Raises:
            PlanError: they have, and no source is given.
        """
        gone = self.source != "phantom" and not Path(self.source).exists()
        if gone and not source:
            raise PlanError(
                f"the cases are not at {self.source!r}; accepted is --data with their place now"
            )
        return replace(self, moved=source)

    def study_of(self, arm: str, seed: int) -> Study:
        """The study that an arm runs with a seed.

        An attack changes nothing of it: the sites do not know.

        Args:
            arm: as `simulations.arms.Arm` reads it.
            seed: of all randomness.

        Raises:
            ArmError, StudyError: the arm names nothing.
        """
        content = json.loads(json.dumps(self.study)) | {"seed": seed}
        asked = Arm.parse(arm)
        strategy = asked.strategy
        if asked.full:
            return parse(_everything(content), asked.sets)
        if strategy != "default":
            if strategy not in QUERY and ":" not in strategy:
                known = ", ".join(["default", FULL, *sorted(QUERY)])
                raise StudyError(
                    f"arm {arm!r}: accepted is one of {known}, each with @policy and more"
                )
            query = content.setdefault("query", {})
            choose(query, "strategy", strategy)
            if query.get("cost_weighted") and not hasattr(QUERY.get(strategy), "scores"):
                query["cost_weighted"] = False
        if asked.policy:
            choose(content.setdefault("budget", {}), "policy", asked.policy)
        return parse(content, asked.sets)

    def cases(self) -> Cases:
        """The source's cases; the split they are scored on is called "test", the other is gone.

        Raises:
            CasesError: a source that is refused.
            PlanError: cases without labels, which nobody could simulate readers for.
        """
        found = open_cases(self.opened, parse(self.study).task, parse(self.study).seed)
        if found.targets is None:
            raise PlanError(f"{self.opened}: no labels; a simulation needs one for every case")
        if self.scored_on == "test":
            return found.take([i for i, s in enumerate(found.splits) if s != "val"])
        kept = found.take([i for i, s in enumerate(found.splits) if s != "test"])
        splits = tuple("test" if s == "val" else s for s in kept.splits)
        return Cases(
            kept.keys, kept.patients, kept.clustered, splits, kept.sites, kept.targets, kept.images
        )

    def save(self, out: Path) -> None:
        """Write the plan to its folder; one that is there already gains these arms and seeds.

        Raises:
            NotARun: the plan that is there is damaged or another version's.
            PlanError: the folder holds another simulation, or something else, or a folder of its
                own that one of these arms would have, too.
        """
        content = self._document()
        path = out / "plan.json"
        if path.exists():
            known = Plan.load(out)._document()
            for key in ("study", "source", "scored_on", "start"):
                if known[key] != content[key]:
                    what = "first weights differ" if key == "start" else f"{key} differs"
                    raise PlanError(
                        f"{out} holds another simulation (its {what}); "
                        "accepted is the same one, or an empty folder"
                    )
            for key in ("arms", "seeds"):
                content[key] = list(dict.fromkeys([*known[key], *content[key]]))
            _check_folders(content["arms"])
        elif out.exists() and any(p.name != ".lock" for p in out.iterdir()):
            raise PlanError(f"{out} is not empty and no simulation; accepted is an empty folder")
        out.mkdir(parents=True, exist_ok=True)
        write_json(path, content)
        if self.start_file:
            replace_file(out / _WEIGHTS, Path(self.start_file).read_bytes(), sync=False)

    @classmethod
    def load(cls, out: Path) -> Plan:
        """The plan of a simulation's folder.

        Raises:
            NotARun: there is none, or it is damaged or another version's.
        """
        path = out / "plan.json"
        content = read(path)
        known = {"schema", *(field.name for field in fields(cls))} - _OF_THE_CALL
        if strange := sorted(content.keys() - known):
            raise NotARun(f"{path}: {strange[0]} is no key that this wardround knows of a plan")
        return typed(TypeAdapter(cls), content, path)

    def _document(self) -> dict[str, Any]:
        content: dict[str, Any] = json.loads(json.dumps({"schema": SCHEMA, **asdict(self)}))
        return {key: value for key, value in content.items() if key not in _OF_THE_CALL}


def weights_of(plan: Plan, out: Path) -> Path | None:
    """The file of a plan's first weights, which may be in its folder; None: the seed draws them."""
    if not plan.start:
        return None
    return Path(plan.start_file) if plan.start_file else out / _WEIGHTS


@dataclass(frozen=True, slots=True)
class Task:
    """Which run of a plan.

    Attributes:
        out: the simulation's folder.
        arm: see `Plan.study_of`.
        seed: its split, first weights and readers.
    """

    out: Path
    arm: str
    seed: int

    @property
    def folder(self) -> Path:
        """The run's own folder."""
        return self.out / folder_name(self.arm) / f"seed-{self.seed}"

    def finished(self) -> bool:
        """Whether it has run to its end.

        Raises:
            NotARun: its account is damaged or another version's.
        """
        return (self.folder / "run.json").exists() and begun(self.folder).finished


def plan_of(
    study: Study, source: str, arms: Sequence[str], seeds: Sequence[int], **more: Any
) -> Plan:
    """A plan for these arms, each once, every one of them checked, and the study itself.

    Raises:
        StudyError: an arm names nothing, or a choice of the study's own cannot be: an arm that
            makes another one leaves its arguments out, and nobody would hear of them.
        PlanError: no arm or no seed, an arm too long to be a folder's name, or two of one folder.
    """
    if not arms or not seeds:
        raise PlanError("a simulation of no arm or no seed: accepted is at least one of each")
    decisions(study, allow_import=True)
    plan = Plan(
        document(study), source, tuple(dict.fromkeys(arms)), tuple(dict.fromkeys(seeds)), **more
    )
    _check_folders(plan.arms)
    own = beginning(parse(plan.study | {"seed": plan.seeds[0]}))
    for arm in plan.arms:
        _check_attack(plan, arm)
        asked = plan.study_of(arm, plan.seeds[0])
        decisions(asked, allow_import=True)
        if beginning(asked) != own:
            accepted = "accepted are arms that begin alike, dropout aside"
            raise PlanError(f"arm {arm!r} has another seed or network; {accepted}")
    return plan


def choose(table: dict[str, Any], key: str, name: str) -> None:
    """Put a choice into a study's table; arguments stay where it is the study's own already."""
    kept = table.get("arguments", {}) if table.get(key) == name else {}
    table.update({key: name, "arguments": kept})


def _check_folders(arms: Sequence[str]) -> None:
    """Refuse arms whose runs could not each have a folder."""
    names: dict[str, str] = {}
    for arm in arms:
        folder = folder_name(arm)
        if len(folder) > _LONGEST:
            raise PlanError(
                f"arm {arm[:40] + '...'!r} has {len(folder)} letters; accepted is at most "
                f"{_LONGEST}, which its folder's name may have"
            )
        if (other := names.setdefault(folder, arm)) != arm:
            raise PlanError(
                f"arms {other!r} and {arm!r} would share the folder {folder}; "
                "accepted are arms that differ in more than what a folder's name cannot hold"
            )


def _check_attack(plan: Plan, arm: str) -> None:
    attack = Arm.parse(arm).attack
    if attack and attack not in ATTACKS:
        raise PlanError(f"attack {attack!r}: accepted is one of {', '.join(ATTACKS)}")
    if attack and plan.engine != "local":
        raise PlanError(f"an attack on the engine {plan.engine!r}: accepted is local")


def write_json(path: Path, content: object) -> None:
    """Replace a JSON file whole."""
    write_text(path, json.dumps(content, indent=1, sort_keys=True) + "\n")


def write_text(path: Path, text: str) -> None:
    """Replace a text file whole."""
    replace_file(path, text.encode(), sync=False)


def _everything(content: dict[str, Any]) -> dict[str, Any]:
    """The study whose first cycle grants every site all it can use."""
    unlimited = 10**9
    query = {"strategy": "random", "cold_start": "random"}
    budget = {"total": unlimited, "first": unlimited, "per_cycle": unlimited, "exploration": 0.0}
    reading = {"readers_per_case": 1, "consensus": "majority"}
    share = parse(content).audit.patients  # what a private site reckons its training cases by
    audit = {**content.get("audit", {}), "grant": share}
    stopping = {**content.get("stopping", {}), "gain": "never"}  # nothing is drawn at random
    more = {"reading": reading, "audit": audit, "stopping": stopping}
    return content | {"query": query, "budget": budget, **more}
