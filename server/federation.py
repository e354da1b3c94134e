"""The sites as the server sees them through Flower: who is there, and one question to each."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from flwr.app import Message, RecordDict
from flwr.serverapp import Grid

from protocol.codec import CodecError
from protocol.records import Arrays, Grant, StepKey
from protocol.steps import MESSAGE_TYPES, REPLIES, VERSION, Code, Hello, Refusal, Reply, StepRequest
from protocol.wire import from_wire, to_wire
from server.ledger import Stage

_POLL = 1.0  # seconds between looks for replies; a local engine answers at once


class SitesMissing(RuntimeError):
    """Fewer sites than expected came before the time was up."""


class QuorumLost(RuntimeError):
    """Too few sites answered a step."""


@dataclass(slots=True)
class Federation:
    """Questions to all sites, answers in site order.

    Attributes:
        grid: Flower's.
        study: identity.
        epoch: of this start of the ServerApp.
        quorum: share of the sites that must answer.
        patience: seconds to wait for the sites, and for the next answer to a step.
        nodes: Flower's node id of each site, in site order; filled by `gather`.
    """

    grid: Grid
    study: str
    epoch: int
    quorum: float = 1.0
    patience: float = 3600.0
    nodes: dict[str, int] = field(default_factory=dict)

    def gather(self, count: int) -> Sequence[str]:
        """The names of the sites in site order, once that many have said hello.

        Raises:
            SitesMissing: they did not come in time, or one runs other messages than ours.
        """
        deadline = time.monotonic() + self.patience
        while len(ids := list(self.grid.get_node_ids())) < count:
            if time.monotonic() > deadline:
                raise SitesMissing(f"{len(ids)} sites came, {count} are expected")
            time.sleep(0.05)
        stage = Stage(0, "hello")
        content = to_wire(StepRequest(self._key(stage), self.epoch))
        greeted = dict(self._exchange(stage, {str(node): (node, content) for node in ids}))
        hellos = {node: hello for node, hello in greeted.items() if isinstance(hello, Hello)}
        if len(hellos) < count:
            codes = sorted({r.code for r in greeted.values() if isinstance(r, Refusal)})
            raise SitesMissing(
                f"{len(hellos)} sites take part, {count} are expected; "
                f"the others said: {', '.join(codes)}"
            )
        for hello in hellos.values():
            if hello.protocol != VERSION:
                raise SitesMissing(f"{hello.site} speaks version {hello.protocol}, not {VERSION}")
        ordered = sorted(hellos.items(), key=lambda item: (item[1].number, item[1].site))
        self.nodes = {hello.site: int(node) for node, hello in ordered}
        if len(self.nodes) < len(hellos):
            raise SitesMissing("two sites have the same name; accepted is one name each")
        return list(self.nodes)

    def ask_all(self, stage: Stage, arrays: Arrays, sites: Sequence[str]) -> Iterator[Reply]:
        """Ask the same of these sites; their replies in site order, refusals left out.

        A reply is dropped once the next is asked for, so that memory does not grow with the sites.

        Raises:
            QuorumLost: after the last reply, if too few were not refusals.
        """
        content = to_wire(StepRequest(self._key(stage), self.epoch, arrays))
        yield from self._heard(stage, dict.fromkeys(sites, content))

    def ask_each(self, stage: Stage, grants: Mapping[str, Grant]) -> Iterator[Reply]:
        """Give each site its grant; otherwise as `ask_all`."""
        key = self._key(stage)
        requests = {s: StepRequest(key, self.epoch, grant=grant) for s, grant in grants.items()}
        yield from self._heard(stage, {s: to_wire(request) for s, request in requests.items()})

    def _heard(self, stage: Stage, contents: Mapping[str, RecordDict]) -> Iterator[Reply]:
        asked = {
            site: (self.nodes[site], contents[site]) for site in self.nodes if site in contents
        }
        failed: dict[str, Code] = {}
        for site, reply in self._exchange(stage, asked):
            if isinstance(reply, Refusal):
                failed[site] = reply.code
            elif reply.site != site:  # a site speaks for itself alone
                failed[site] = Code.BAD_REQUEST
            else:
                yield reply
        if len(asked) - len(failed) < self.quorum * len(self.nodes):
            told = ", ".join(f"{site}: {code}" for site, code in failed.items())
            raise QuorumLost(
                f"cycle {stage.cycle}, {stage.step}, round {stage.round}: "
                f"{len(asked) - len(failed)} of {len(self.nodes)} sites answered ({told})"
            )

    def _exchange(
        self, stage: Stage, asked: Mapping[str, tuple[int, RecordDict]]
    ) -> Iterator[tuple[str, Reply]]:
        """Send all, then yield each site's reply in the order asked."""
        messages = [
            Message(
                content,
                dst_node_id=node,
                message_type=MESSAGE_TYPES[stage.step],
                group_id=f"{stage.cycle}.{stage.round}",
            )
            for node, content in asked.values()
        ]
        sent = [mid or "" for mid in self.grid.push_messages(messages)]
        site_of = {mid: site for mid, site in zip(sent, asked, strict=True) if mid}
        arrived: dict[str, Message] = {}
        deadline = time.monotonic() + self.patience
        for site, mid in zip(asked, sent, strict=True):
            while mid and mid not in arrived and time.monotonic() < deadline:
                waiting = [m for m in site_of if m not in arrived]
                fresh = list(self.grid.pull_messages(waiting))
                arrived.update((m.metadata.reply_to_message_id, m) for m in fresh)
                if fresh:  # one machine may compute the sites' steps one after another
                    deadline = time.monotonic() + self.patience
                else:
                    time.sleep(_POLL)
            site_of.pop(mid, None)
            yield site, _understood(stage.step, arrived.pop(mid, None))

    def _key(self, stage: Stage) -> StepKey:
        return StepKey(self.study, stage.cycle, stage.step, stage.round, stage.sequence)


def _understood(step: str, message: Message | None) -> Reply:
    """What a site's message says; silence, Flower's errors and nonsense count as failed."""
    if message is None or message.has_error():
        return Refusal(Code.FAILED)
    try:
        return from_wire(message.content, REPLIES[step], Refusal)
    except CodecError:
        return Refusal(Code.BAD_REQUEST)
