"""The loop of a rehearsal: the ordinary steps, asked by ourselves; no allocation, no average."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar, cast

from client.cost import spent
from client.dispatch import answer
from client.rehearsal import telling
from client.rehearsal.state import FIRST, Progress, State
from client.site import Site
from protocol.records import (
    Arrays,
    Grant,
    SiteEvaluation,
    SiteProgress,
    SiteReport,
    SiteUpdate,
    StepKey,
)
from protocol.steps import Reply, Selected, StepRequest
from protocol.study import Study

R = TypeVar("R", bound=Reply)


@dataclass(frozen=True, slots=True)
class Loop:
    """One site's study, from report to evaluation and again.

    Attributes:
        site: the rehearsal's only one.
        study: approved there.
        progress: where the loop stands.
        wait: for the readers of a cycle: returns once nothing waits for an answer.
        say: told what happens, in lines.
    """

    site: Site
    study: Study
    progress: Progress
    wait: Callable[[int], None]
    say: Callable[[str], None]

    def run(self, state: State) -> None:
        """Every step until the budget is spent; killed at any moment, it goes on where it was."""
        while state.step != "over":
            state = _STEPS[state.step](self, state)
            self.progress.write(state)

    def report(self, state: State) -> State:
        """The cycle's grant: the cycle's budget, as far as the pool reaches."""
        told = self._ask(state, SiteReport, arrays=self.progress.arrays(state.model))
        before = sum(spent(self.site.store, self.study, c) for c in range(state.cycle))
        grant = min(self.study.cycle_budget(state.cycle, before), told.capacity)
        return state.then("select" if grant > 0 else "over", grant=grant)

    def select(self, state: State) -> State:
        """Open the cycle's cases."""
        grant = Grant(state.grant, "a rehearsal of one site: the whole cycle's budget")
        self._ask(state, Selected, grant=grant)
        return state.then("read")

    def read(self, state: State) -> State:
        """Wait for the readers."""
        self.say(telling.opened(self.study, state))
        self.wait(state.cycle)
        return state.then("close")

    def close(self, state: State) -> State:
        """End the cycle's reading; training begins from the first weights, or goes on."""
        told = self._ask(state, SiteProgress)
        self.say(telling.read(self.study, state, told))
        scratch = self.study.training.start == "scratch"
        return state.then("train", round=0, model=FIRST if scratch else state.model)

    def train(self, state: State) -> State:
        """One round; the site's own update is the next model."""
        update = self._ask(state, SiteUpdate, arrays=self.progress.arrays(state.model))
        name = f"model-{state.cycle}-{state.round}.safetensors"
        done = state.round + 1
        last = done == self.study.training.rounds_per_cycle
        model = self.progress.keep(update.arrays, name)
        return state.then("evaluate" if last else "train", round=done, model=model)

    def evaluate(self, state: State) -> State:
        """Say what was learned."""
        told = self._ask(state, SiteEvaluation, arrays=self.progress.arrays(state.model))
        _, labels = self.site.store.labels.settled(self.study.identity)
        for line in telling.learned(self.study, told, len(labels)):
            self.say(line)
        used = sum(spent(self.site.store, self.study, c) for c in range(state.cycle + 1))
        more = self.study.cycle_budget(state.cycle + 1, used) > 0
        return state.then("report" if more else "over", cycle=state.cycle + 1, round=0)

    def _ask(
        self, state: State, kind: type[R], arrays: Arrays | None = None, grant: Grant | None = None
    ) -> R:
        key = StepKey(self.study.identity, state.cycle, state.step, state.round)
        return cast(R, answer(self.site, StepRequest(key, state.epoch, arrays or {}, grant)))


_STEPS: dict[str, Callable[[Loop, State], State]] = {
    "report": Loop.report,
    "select": Loop.select,
    "read": Loop.read,
    "close": Loop.close,
    "train": Loop.train,
    "evaluate": Loop.evaluate,
}
