"""SuperLink lets in exactly the node keys of the registry's sites; what it says of each node."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime

from protocol.coordination_pb2 import Order
from server.flower.control import Control, Node, pem_of
from server.registry.alarm_shelf import AlarmShelf
from server.registry.outbox_shelf import OutboxShelf
from server.registry.presence_shelf import Presence, PresenceShelf
from server.registry.registry import Registry
from server.registry.site_shelf import JoinedSite, SiteShelf

LOG = logging.getLogger("keeper")
_GONE = "unregistered"
DEAF = "node-deaf"
BURNED = "node-key-burned"


def match_nodes(registry: Registry, control: Control) -> None:
    """Register new sites' keys, turn away those that no active site has, note who is online."""
    nodes = {node.key: node for node in control.nodes()}
    sites = {pem_of(site.node_key): site for site in SiteShelf(registry.connection).active()}
    for key, node in nodes.items():
        if key not in sites and node.status != _GONE:
            control.unregister(node.id)
            LOG.info("turned node %d away: no active site has its key", node.id)
    seen = PresenceShelf(registry.connection).all()
    for key, site in sites.items():
        node = nodes.get(key) or Node(control.register(key, site.name), key, "registered")
        _note(registry, site, node, seen.get(site.name))


def _note(registry: Registry, site: JoinedSite, node: Node, seen: Presence | None) -> None:
    """Write down what changed: the node's id, and whether it is online."""
    alarms = AlarmShelf(registry.connection)
    if node.status == _GONE:  # Flower never takes a key back
        alarms.sound(
            BURNED, "its node key was turned away for ever; the site must join anew", site.name
        )
        return
    alarms.clear(BURNED, site.name)
    if site.node != node.id:
        with registry.transaction():
            SiteShelf(registry.connection).register(site.name, site.node_key, node.id)
        LOG.info("site %s is node %d", site.name, node.id)
    online = node.status == "online"
    if seen is None or seen.node_online is not online:
        PresenceShelf(registry.connection).note_node(site.name, online)


@dataclass(slots=True)
class Watch:
    """Looks for sites whose daemon is there while their SuperNode does not reach us.

    Attributes:
        patience: seconds for which both must have been so.
        again: seconds between two requests to start it anew.
    """

    patience: float = 90.0
    again: float = 180.0
    _asked: dict[str, float] = field(default_factory=dict)

    def look(self, registry: Registry, at: datetime | None = None) -> None:
        """Ask such sites to restart their SuperNode, and raise or clear the alarm."""
        at = at or datetime.now(UTC)
        active = {site.name for site in SiteShelf(registry.connection).active()}
        for name, presence in PresenceShelf(registry.connection).all().items():
            if name in active and self._deaf(presence, at):
                self._ask(registry, name)
            elif presence.node_online or name not in active:
                AlarmShelf(registry.connection).clear(DEAF, name)
                self._asked.pop(name, None)

    def _deaf(self, presence: Presence, at: datetime) -> bool:
        times = (presence.since, presence.node_since)
        return (
            presence.online
            and presence.node_online is False
            and all(_seconds(since, at) > self.patience for since in times)
        )

    def _ask(self, registry: Registry, name: str) -> None:
        if time.monotonic() - self._asked.get(name, -self.again) < self.again:
            return
        self._asked[name] = time.monotonic()
        words = "its daemon is there and its SuperNode is not; it was asked to start it anew"
        AlarmShelf(registry.connection).sound(DEAF, words, name)
        OutboxShelf(registry.connection).put(
            name, "order", Order(kind="restart-node").SerializeToString()
        )
        LOG.info("asked site %s to restart its node", name)


def _seconds(since: str | None, at: datetime) -> float:
    return (at - datetime.fromisoformat(since)).total_seconds() if since else 0.0
