"""The study file's tables about the rehearsal: simulated sites and their readers."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from pydantic import Field

from protocol.sections import Section, Share

Seconds: TypeAlias = Annotated[float, Field(gt=0)]


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
    silent: dict[str, int] = Field(
        {}, description="cycle, from 0, in which the readers of a named site fall silent for good"
    )
    readers: Readers = Field(default_factory=Readers)
