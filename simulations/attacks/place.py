"""Which site attacks, and how its home says so to the process that runs it."""

from __future__ import annotations

from pathlib import Path

from flwr.app import Message

from client.site import Site
from protocol.codec import CodecError
from protocol.seeds import Purpose, generator
from protocol.steps import REPLIES, StepRequest
from protocol.study import Study
from protocol.wire import from_wire, to_wire
from simulations.attacks import ATTACKS
from simulations.attacks.attack import Attack

_FILE = "attack"


def attacker(study: Study, sites: int) -> int:
    """The number of the site that attacks, drawn by the seed alone: the same in every arm."""
    return int(generator(study.seed, -1, 0, 0, Purpose.ATTACK).integers(sites))


def plant(home: Path, name: str) -> None:
    """Let the site of that home attack."""
    (home / _FILE).write_text(name, encoding="utf-8")


def planted(home: Path) -> Attack | None:
    """What the site of that home does wrong."""
    file = home / _FILE
    return ATTACKS[file.read_text(encoding="utf-8")] if file.exists() else None


def forge(attack: Attack, site: Site, asked: Message, reply: Message) -> None:
    """Put what the attacker sends in place of its honest reply; a refusal stays one."""
    if reply.has_error():
        return
    request = from_wire(asked.content, StepRequest)
    kind = REPLIES.get(request.key.step)
    if kind is None:
        return
    try:
        honest = from_wire(reply.content, kind)
    except CodecError:  # a refusal
        return
    study = site.store.steps.study(request.key.study)
    reply.content = to_wire(attack.forgery(site, study, request, honest))
