"""The study file's tables about the rehearsal: simulated sites and their readers."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from pydantic import Field, model_validator

from protocol.sections import Section, Share, Task
from protocol.sentences import refuse

Seconds: TypeAlias = Annotated[float, Field(gt=0, le=86_400)]
Times: TypeAlias = Annotated[float, Field(gt=0, le=1000)]


class Readers(Section):
    """The simulated physicians of every site."""

    per_site: int = Field(2, ge=1, le=20, description="readers at each site")
    error: Share | tuple[Share, ...] = Field(
        0.0, description="probability of a wrong answer, one number or one per true class"
    )
    unsure: Share = Field(0.0, description="probability of the answer unsure")
    unreadable: Share = Field(0.0, description="probability of the answer not readable")
    seconds: Seconds | Annotated[tuple[Seconds, ...], Field(min_length=1)] = Field(
        20.0,
        description="mean active seconds of a reading; several: one per site, again from the first",
    )
    spread: float = Field(0.4, ge=0, le=2, description="sigma of the log-normal around that mean")
    hours_per_day: float = Field(1.0, gt=0, le=24, description="reading hours on each working day")
    per_cycle: int = Field(
        0, ge=0, description="most readings that a site's readers give in a cycle; 0 is no bound"
    )
    difficulty: float = Field(
        0.0,
        ge=0,
        le=2,
        description="sigma of the log-normal difficulty of cases: one twice as hard takes twice "
        "the seconds and has twice the odds of an error",
    )
    biased: int = Field(
        0, ge=0, le=20, description="how many of a site's readers, the last ones, prefer a class"
    )
    prefers: str = Field("", description="name of the class that they prefer")
    bias: Share = Field(
        0.3, description="probability that they answer it where they would have said another"
    )


class Drift(Section):
    """Pools that change while the study runs; without arrivals they are whole from the start."""

    arriving: float = Field(
        0.0, ge=0, lt=1, description="share of each pool's patients that come after the first cycle"
    )
    cycles: int = Field(5, ge=1, le=1000, description="over so many cycles they come, evenly")
    prevalence: tuple[Times, ...] = Field(
        (),
        description="for each class, how many times as frequent it is among the last patients as "
        "among the first; empty: the same throughout",
    )
    scanner: int = Field(
        0,
        ge=0,
        description="cycle from which patients come from another scanner, counted from 0: reports, "
        "which count from 1, say one more; 0 is never",
    )

    @model_validator(mode="after")
    def _somebody(self) -> Drift:
        if not self.arriving and (self.prevalence or self.scanner):
            wanted = "above 0 where prevalence or scanner drift"
            raise refuse("simulation.drift.arriving", self.arriving, wanted)
        if self.scanner > self.cycles:
            accepted = f"at most simulation.drift.cycles = {self.cycles}"
            raise refuse("simulation.drift.scanner", self.scanner, accepted)
        return self


class Simulation(Section):
    """The rehearsal: no part of the study's identity, and no hospital ever sees it."""

    sites: int = Field(4, ge=1, le=1000, description="how many hospitals")
    split: str = Field(
        "iid",
        pattern=r"^(iid|quantity|site|dirichlet:[0-9]*\.?[0-9]+)$",
        description="iid, dirichlet:ALPHA (label skew), quantity (unequal sizes) or site "
        "(the file's own site column)",
    )
    scanners: bool = Field(False, description="give every site a fixed scanner look")
    silent: dict[str, Annotated[int, Field(ge=0)]] = Field(
        {},
        description="cycle in which the readers of a named site fall silent for good, counted from "
        "0: reports, which count from 1, say one more",
    )
    drift: Drift = Field(default_factory=Drift)
    readers: Readers = Field(default_factory=Readers)


def check_rehearsal(simulation: Simulation, task: Task) -> None:
    """Refuse readers and drift that do not fit the task.

    Raises:
        Refused: in one sentence.
    """
    readers, classes = simulation.readers, len(task.classes)
    if isinstance(readers.error, tuple) and len(readers.error) not in (1, classes):
        raise refuse(
            "simulation.readers.error",
            readers.error,
            f"one number from 0 to 1, or a list of {classes}, one for each class",
        )
    if readers.unsure + readers.unreadable > 1:
        raise refuse(
            "simulation.readers.unsure",
            readers.unsure,
            f"a share that with simulation.readers.unreadable = {readers.unreadable} is at most 1",
        )
    if readers.biased > readers.per_site:
        accepted = f"at most simulation.readers.per_site = {readers.per_site}"
        raise refuse("simulation.readers.biased", readers.biased, accepted)
    if not readers.biased and (readers.prefers or readers.bias != Readers().bias):
        accepted = "at least 1 where simulation.readers has prefers or bias"
        raise refuse("simulation.readers.biased", readers.biased, accepted)
    if readers.biased and readers.prefers not in task.names:
        accepted = f"one of {', '.join(task.names)}"
        raise refuse("simulation.readers.prefers", readers.prefers, accepted)
    if len(simulation.drift.prevalence) not in (0, classes):
        accepted = f"a list of {classes}, one number for each class, or none"
        raise refuse("simulation.drift.prevalence", list(simulation.drift.prevalence), accepted)
