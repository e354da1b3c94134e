"""One step asked of many sites, again and again, until they have answered or time is up.

Flower forgets replies of sites that went offline, answers with errors of its own, and never sends a
message twice. So every question is asked again with the same key; a site's memory of its steps
makes that harmless.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from flwr.app import Message, RecordDict
from flwr.common.constant import ErrorCode
from flwr.serverapp import Grid

from protocol.codec import CodecError
from protocol.records import Arrays
from protocol.steps import ABSTENTIONS, MESSAGE_TYPES, REPLIES, Code, Refusal, Reply
from protocol.wire import from_wire
from server.ledger import Stage
from server.spool import Spool

Roster: TypeAlias = Callable[[], Mapping[str, int]]
"""Flower's node id of each site in site order, asked anew each time; -1 where it has none yet."""

Fits: TypeAlias = Callable[[Reply, Arrays], bool]

_AT_ONCE = 16  # replies pulled together: bounds what is in memory
_TURNING = frozenset({Code.NOT_APPROVED, Code.PAUSED})  # a site's admin may change their mind
_LOST = frozenset(  # errors of Flower after which the site may well answer
    {
        ErrorCode.UNKNOWN,
        ErrorCode.CLIENT_APP_RAISED_EXCEPTION,
        ErrorCode.MESSAGE_UNAVAILABLE,
        ErrorCode.REPLY_MESSAGE_UNAVAILABLE,
        ErrorCode.NODE_UNAVAILABLE,
        ErrorCode.CLIENT_APP_CRASHED,
    }
)
_RAISED = frozenset({ErrorCode.CLIENT_APP_RAISED_EXCEPTION, ErrorCode.CLIENT_APP_CRASHED})


class Halted(Exception):
    """The study is not to run any longer, for now; it can be gone on with."""


class Superseded(Exception):
    """A newer start of this study's ServerApp has spoken to the sites."""


@dataclass(frozen=True, slots=True)
class Timing:
    """How the server waits for sites; all in seconds, infinity for never.

    Attributes:
        patience: for the next answer of any site to a step.
        grace: for sites that are away or fail, once a quorum has answered.
        glance: the same for sites that were away in the step before, too.
        resend: a site that said nothing for so long is asked again; doubles with every time.
        retry: before a site is asked again that Flower answered for, or that was not there.
        again: before a site is asked again that failed, or refused what its admin may yet allow.
        poll: between two looks for replies.
        settle: after the last cycle, for sites that were away when a cycle closed.
    """

    patience: float = 3600.0
    grace: float = 120.0
    glance: float = 15.0
    resend: float = 120.0
    retry: float = 5.0
    again: float = 60.0
    poll: float = 1.0
    settle: float = 3600.0

    def borne(self, *, known: bool) -> float:
        """How long absence is borne once a quorum has answered; `known` from the step before."""
        return min(self.glance, self.grace) if known else self.grace

    def hasty(self) -> Timing:
        """The same for those that are there now: nobody is asked twice, nobody waited for."""
        return replace(self, patience=min(self.resend, self.patience), grace=0.0)


REHEARSAL = Timing(resend=math.inf, retry=math.inf, again=math.inf, settle=0.0)
"""In a simulation a site that failed would fail again, and silence is computing."""


def believed(reply: Reply, arrays: Arrays) -> bool:
    """Every reply is believed: in a simulation all sites are one's own."""
    return True


@dataclass(slots=True)
class _Site:
    """One site's side of a step.

    Attributes:
        due: when to ask (again), by the monotonic clock; infinity: never.
        wait: how long silence is borne after the next question.
        sent: ids of the messages that are under way.
        code: what it, or Flower for it, refused with last.
        final: it will not be asked again.
        heard: it has said something itself.
    """

    content: RecordDict
    wait: float
    due: float = 0.0
    sent: set[str] = field(default_factory=set)
    code: Code = Code.FAILED
    final: bool = False
    heard: bool = False


@dataclass(slots=True)
class Exchange:
    """One step's questions and answers.

    Attributes:
        grid: Flower's.
        roster: where the sites are.
        timing: how long to wait.
        halted: whether the study is not to run any longer.
        stage: of the step.
        contents: the request for each site, in site order.
        needed: answers that a quorum takes.
        fits: whether a reply is one that a site may give to a request with these arrays.
        arrays: of the request.
        away: sites that were not there in the step before.
        late: site by id of the messages whose replies are still to come.
    """

    grid: Grid
    roster: Roster
    timing: Timing
    halted: Callable[[], bool]
    stage: Stage
    contents: Mapping[str, RecordDict]
    needed: int
    fits: Fits = believed
    arrays: Arrays = field(default_factory=dict)
    away: frozenset[str] = frozenset()
    _sites: dict[str, _Site] = field(default_factory=dict)
    late: dict[str, str] = field(default_factory=dict)
    _spool: Spool = field(default_factory=Spool)
    _answered: int = 0
    _deadline: float = 0.0
    _due: float = 0.0
    _calm: float | None = None  # since when nobody who is there is still to answer

    def replies(self) -> Iterator[tuple[str, Reply]]:
        """Each site's reply, or why there is none, in the order of `contents`.

        Raises:
            Halted: while waiting.
            Superseded: a site knows a newer start.
        """
        self._sites = {s: _Site(c, self.timing.resend) for s, c in self.contents.items()}
        self._deadline = time.monotonic() + self.timing.patience
        try:
            self._ask()
            for site in self._sites:
                while not self._settled(site) and not self._over():
                    self._look(site)
                yield site, self._spool.take(site) or Refusal(self._sites[site].code)
        finally:
            self._spool.close()

    def absent(self) -> frozenset[str]:
        """The sites that are not there and have not answered."""
        return frozenset(n for n, s in self._sites.items() if not s.final and not s.sent)

    def _settled(self, site: str) -> bool:
        here, enough = self._sites[site], self._answered >= self.needed
        return here.final or (here.code in _TURNING and enough and not here.sent)

    def _over(self) -> bool:
        """Whether the step ends with those who have answered."""
        now = time.monotonic()
        if now > self._deadline:
            return True
        waiting = {name: s for name, s in self._sites.items() if not self._settled(name)}
        if self._answered < self.needed or any(s.sent for s in waiting.values()):
            self._calm = None
            return False
        self._calm = self._calm or now
        return now - self._calm >= self.timing.borne(known=waiting.keys() <= self.away)

    def _look(self, site: str) -> None:
        """Ask who is due, and take what has come, until it is this site's."""
        if self.halted():
            raise Halted
        self._ask()
        fresh = False
        first = list(self._sites[site].sent)
        waiting = first + [mid for mid in self.late if mid not in first]
        for start in range(0, len(waiting), _AT_ONCE):
            for message in self.grid.pull_messages(waiting[start : start + _AT_ONCE]):
                fresh = self._heard(message) or fresh
            if self._settled(site):
                return
        if not fresh:
            time.sleep(self.timing.poll)

    def _ask(self) -> None:
        """Push to every site that is due and there."""
        now = time.monotonic()
        if now < self._due:
            return
        if due := [n for n, s in self._sites.items() if not s.final and s.due <= now]:
            there, nodes = set(self.grid.get_node_ids()), self.roster()
            for name in due:  # who is not there is looked for again in a while
                self._sites[name].due = now + min(self.timing.retry, self.timing.patience)
            self._push({n: nodes[n] for n in due if nodes.get(n, -1) in there}, now)
        self._due = min((s.due for s in self._sites.values() if not s.final), default=math.inf)

    def _push(self, nodes: Mapping[str, int], now: float) -> None:
        messages = _messages(self.stage, self._sites, nodes)
        sent = list(self.grid.push_messages(messages)) if messages else []
        sent += [""] * (len(messages) - len(sent))  # Flower takes none where they are too large
        for name, mid in zip(nodes, sent, strict=True):
            here = self._sites[name]
            if mid:
                here.sent.add(mid)
                self.late[mid] = name
                here.due, here.wait = now + here.wait, 2 * here.wait
            else:
                self._fail(here, self.timing.retry)

    def _heard(self, message: Message) -> bool:
        """Whether the message settled a site; late and foreign ones are dropped."""
        name = self.late.pop(message.metadata.reply_to_message_id, None)
        if name is None or self._sites[name].final:
            return False
        here = self._sites[name]
        here.sent.discard(message.metadata.reply_to_message_id)
        if message.has_error():
            lost = message.error.code in _LOST
            here.heard = here.heard or message.error.code in _RAISED
            self._fail(here, self.timing.retry if lost else self.timing.again)
        else:
            self._understand(name, here, _understood(self, name, message))
        if here.final:  # one machine may compute the sites' steps one after another
            self._deadline = time.monotonic() + self.timing.patience
        return here.final

    def _understand(self, name: str, here: _Site, reply: Reply) -> None:
        here.heard = True
        if not isinstance(reply, Refusal):
            self._spool.put(name, reply)
        elif reply.code == Code.LOWER_EPOCH:
            raise Superseded
        else:
            here.code = reply.code
            if reply.code in _TURNING | {Code.FAILED}:
                self._fail(here, self.timing.again)
                return
        here.final = True
        self._answered += not isinstance(reply, Refusal) or reply.code in ABSTENTIONS

    def _fail(self, here: _Site, pause: float) -> None:
        """Ask again after that pause, with the patience of a first question."""
        here.final = math.isinf(pause) and not here.sent
        here.due, here.wait = time.monotonic() + pause, self.timing.resend
        self._due = min(self._due, here.due)


def unheard(asked: Exchange) -> frozenset[str]:
    """The sites that have said nothing themselves, not even that they failed."""
    return frozenset(name for name, site in asked._sites.items() if not site.heard)


def _understood(asked: Exchange, site: str, message: Message) -> Reply:
    """What a site's message says; nonsense, and words in another's name, are bad requests."""
    step = asked.stage.step
    try:
        reply = from_wire(message.content, REPLIES[step], Refusal)
    except CodecError:
        return Refusal(Code.BAD_REQUEST)
    own = step == "hello" or getattr(reply, "site", site) == site
    good = isinstance(reply, Refusal) or (own and asked.fits(reply, asked.arrays))
    return reply if good else Refusal(Code.BAD_REQUEST)


def _messages(stage: Stage, sites: Mapping[str, _Site], nodes: Mapping[str, int]) -> list[Message]:
    kind, group = MESSAGE_TYPES[stage.step], f"{stage.cycle}.{stage.round}"
    return [
        Message(sites[name].content, dst_node_id=node, message_type=kind, group_id=group)
        for name, node in nodes.items()
    ]
