"""Which step of a rehearsal comes next, on the disk before it is asked."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from typing import Any

from client.rehearsal.place import Place
from protocol.codec import pack, unpack
from protocol.files import replace_file
from protocol.records import Arrays, GlobalState

FIRST = "first.safetensors"
"""The study's first weights."""


@dataclass(frozen=True, slots=True)
class State:
    """Where the loop stands; every step may be asked again, and is then answered from memory.

    Attributes:
        step: "report", "select", "read", "close", "train", "evaluate" or "over".
        round: of the train step.
        epoch: higher with every start.
        grant: of the cycle, once it was reported.
        model: the file whose arrays go into the step.
    """

    cycle: int = 0
    step: str = "report"
    round: int = 0
    epoch: int = 0
    grant: int = 0
    model: str = FIRST

    def then(self, step: str, **changed: Any) -> State:
        """The next step."""
        return replace(self, step=step, **changed)


@dataclass(frozen=True, slots=True)
class Progress:
    """Reads and writes the state and its models."""

    place: Place

    def read(self) -> State | None:
        """Where an earlier start left off; None before the first."""
        try:
            told = json.loads(self.place.state.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        return State(**told)

    def write(self, state: State) -> None:
        """Keep it; models that no step needs any more are removed."""
        replace_file(self.place.state, json.dumps(asdict(state)).encode(), sync=True)
        for file in self.place.own.glob("*.safetensors"):
            if file.name not in (state.model, FIRST):
                file.unlink(missing_ok=True)

    def keep(self, arrays: Arrays, name: str) -> str:
        """Write a model; its name."""
        replace_file(self.place.own / name, pack(GlobalState(arrays)), sync=True)
        return name

    def arrays(self, name: str) -> Arrays:
        """A model's arrays."""
        return unpack(GlobalState, (self.place.own / name).read_bytes()).arrays
