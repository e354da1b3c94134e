"""The sites as the server sees them through Flower: who takes part, and one question to each."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from flwr.app import RecordDict
from flwr.serverapp import Grid

from protocol.records import Arrays, Grant, StepKey
from protocol.steps import ABSTENTIONS, VERSION, Code, Hello, Refusal, Reply, StepRequest
from protocol.wire import to_wire
from server.exchange import Exchange, Fits, Halted, Roster, Timing, believed, unheard
from server.ledger import Stage

_NO_ARRAYS: Arrays = {}
_Contents: TypeAlias = Mapping[str, RecordDict]


class _SitesLost(RuntimeError):
    """The study cannot go on with the sites there are.

    Attributes:
        away: whether any of the others said nothing; else all said why they could not.
    """

    def __init__(self, words: str, *, away: bool = True) -> None:
        super().__init__(words)
        self.away = away


class SitesMissing(_SitesLost):
    """Fewer sites than expected came before the time was up, or some that do not fit."""


class QuorumLost(_SitesLost):
    """Too few sites answered a step."""


def never() -> bool:
    """The study runs to its end."""
    return False


@dataclass(slots=True)
class Federation:
    """Questions to all sites, answers in site order.

    Attributes:
        grid: Flower's.
        study: identity.
        epoch: of this start of the ServerApp.
        quorum: share of the sites that must answer.
        timing: how long to wait for them.
        halted: whether the study is not to run any longer.
        roster: where the sites are; `gather` makes it of those that say hello.
        fits: whether a reply to a request with these arrays is one that a site may give.
        withdrawn: sites that have said in this start that the study is withdrawn there, for good.
    """

    grid: Grid
    study: str
    epoch: int
    quorum: float = 1.0
    timing: Timing = field(default_factory=Timing)
    halted: Callable[[], bool] = never
    roster: Roster = dict
    fits: Fits = believed
    withdrawn: set[str] = field(default_factory=set)
    _late: set[str] = field(default_factory=set)
    _away: frozenset[str] = frozenset()

    @property
    def sites(self) -> list[str]:
        """The names of the sites that take part, in site order."""
        return list(self.roster())

    @property
    def needed(self) -> int:
        """How many sites make a quorum."""
        return math.ceil(self.quorum * len(self.sites) - 1e-9)

    def gather(self, count: int) -> Sequence[str]:
        """The names of the sites in site order, once that many have said hello.

        Raises:
            SitesMissing: they did not come in time, or one runs other messages than ours.
        """
        deadline = time.monotonic() + self.timing.patience
        while len(ids := list(self.grid.get_node_ids())) < count:
            if time.monotonic() > deadline:
                raise SitesMissing(f"{len(ids)} sites came, {count} are expected")
            time.sleep(0.05)
        stage = Stage(0, "hello")
        here = {str(node): node for node in ids}
        asked = dict.fromkeys(here, to_wire(StepRequest(self._key(stage), self.epoch)))
        exchange = replace(self._exchange(stage, asked, count), roster=lambda: here)
        nodes = _in_order(dict(exchange.replies()), count, unheard(exchange))
        self.roster = lambda: nodes
        return list(nodes)

    def ask_all(self, stage: Stage, arrays: Arrays, sites: Sequence[str]) -> Iterator[Reply]:
        """Ask the same of these sites; their replies in site order, refusals left out.

        Who abstains has answered; of fewer sites than a quorum all must answer. A reply is dropped
        once the next is asked for, so that memory does not grow with the sites.

        Raises:
            QuorumLost: after the last reply, if too few answered.
            Halted, Superseded: while waiting; see `Exchange`.
        """
        content = to_wire(StepRequest(self._key(stage), self.epoch, arrays))
        yield from self._heard(stage, dict.fromkeys(sites, content), arrays)

    def ask_each(self, stage: Stage, grants: Mapping[str, Grant]) -> Iterator[Reply]:
        """Give each site its grant; otherwise as `ask_all`."""
        yield from self._heard(stage, self._granting(stage, grants))

    def close(self, cycle: int, sites: Sequence[str]) -> Iterator[Reply]:
        """Have those of the sites that are there close a cycle; who does not answer is left out."""
        content = to_wire(StepRequest(self._key(stage := Stage(cycle, "close")), self.epoch))
        yield from self._volunteered(stage, dict.fromkeys(sites, content))

    def grant(self, stage: Stage, grants: Mapping[str, Grant]) -> Iterator[Reply]:
        """Give their grants to those of the sites that are there."""
        yield from self._volunteered(stage, self._granting(stage, grants))

    def pause(self, seconds: float) -> None:
        """Wait.

        Raises:
            Halted: the study is not to run any longer.
        """
        end = time.monotonic() + seconds
        while True:
            if self.halted():
                raise Halted
            left = end - time.monotonic()
            if left <= 0:
                return
            time.sleep(min(left, self.timing.poll))

    def _granting(self, stage: Stage, grants: Mapping[str, Grant]) -> dict[str, RecordDict]:
        key = self._key(stage)
        requests = {s: StepRequest(key, self.epoch, grant=grant) for s, grant in grants.items()}
        return {s: to_wire(request) for s, request in requests.items()}

    def _heard(
        self, stage: Stage, contents: _Contents, arrays: Arrays = _NO_ARRAYS
    ) -> Iterator[Reply]:
        answered, failed = 0, dict[str, Code]()
        needed = min(self.needed, len(contents))
        exchange = self._exchange(stage, contents, needed, arrays)
        for site, reply in self._replies(exchange):
            answered += not isinstance(reply, Refusal) or reply.code in ABSTENTIONS
            if isinstance(reply, Refusal):
                failed[site] = reply.code
            else:
                yield reply
        self._late |= set(exchange.late)
        self._away = (self._away - contents.keys()) | exchange.absent()
        if answered < needed:
            silent = unheard(exchange)
            told = ", ".join(f"{s}: {'silent' if s in silent else c}" for s, c in failed.items())
            raise QuorumLost(
                f"cycle {stage.cycle + 1}, {stage.step}, round {stage.round + 1}: "
                f"{answered} of {len(self.sites)} sites answered ({told})",
                away=bool(silent),
            )

    def _volunteered(self, stage: Stage, contents: Mapping[str, RecordDict]) -> Iterator[Reply]:
        """The answers of those that are there now, given before they would be asked again."""
        exchange = replace(self._exchange(stage, contents, 0), timing=self.timing.hasty())
        yield from (r for _, r in self._replies(exchange) if not isinstance(r, Refusal))
        self._late |= set(exchange.late)

    def _replies(self, exchange: Exchange) -> Iterator[tuple[str, Reply]]:
        for site, reply in exchange.replies():
            if isinstance(reply, Refusal) and reply.code == Code.WITHDRAWN:
                self.withdrawn.add(site)
            yield site, reply

    def _exchange(
        self, stage: Stage, contents: _Contents, needed: int, arrays: Arrays = _NO_ARRAYS
    ) -> Exchange:
        if self._late:  # fetched, or they would fill Flower's database; and dropped
            for message in self.grid.pull_messages(list(self._late)):
                self._late.discard(message.metadata.reply_to_message_id)
        order = contents if stage.step == "hello" else self.sites
        asked = {site: contents[site] for site in order if site in contents}
        us = (self.grid, self.roster, self.timing, self.halted)
        return Exchange(*us, stage, asked, needed, self.fits, arrays, self._away)

    def _key(self, stage: Stage) -> StepKey:
        return StepKey(self.study, stage.cycle, stage.step, stage.round, stage.sequence)


def _in_order(
    greeted: Mapping[str, Reply], count: int, silent: frozenset[str] = frozenset()
) -> dict[str, int]:
    """Flower's node id of each site in site order.

    Raises:
        SitesMissing: too few; or one runs other messages than ours, or two have the same name.
    """
    hellos = {node: hello for node, hello in greeted.items() if isinstance(hello, Hello)}
    if len(hellos) < count:
        refused = {n: r.code for n, r in greeted.items() if isinstance(r, Refusal)}
        codes = {str(code) for node, code in refused.items() if node not in silent}
        codes |= {"nothing"} if silent else set()
        raise SitesMissing(
            f"{len(hellos)} sites take part, {count} are expected; "
            f"the others said: {', '.join(sorted(codes))}",
            away=bool(silent),
        )
    for hello in hellos.values():
        if hello.protocol != VERSION:
            words = f"{hello.site} speaks version {hello.protocol}, not {VERSION}"
            raise SitesMissing(words, away=False)
    ordered = sorted(hellos.items(), key=lambda item: (item[1].number, item[1].site))
    nodes = {hello.site: int(node) for node, hello in ordered}
    if len(nodes) < len(hellos):
        words = "two sites have the same name; accepted is one name each"
        raise SitesMissing(words, away=False)
    return nodes
