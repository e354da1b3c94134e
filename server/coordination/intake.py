"""What becomes of each thing that a site says: rows of the registry, and sometimes an answer."""

from __future__ import annotations

import time
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from platform import python_version

from protocol.coordination import CLOCK_AHEAD, CLOCK_BEHIND, PROTOCOL
from protocol.coordination_pb2 import (
    Arrival,
    FromServer,
    Head,
    Progress,
    Standing,
    Welcome,
)
from server.coordination.heads import Countersigner
from server.registry.alarm_shelf import AlarmShelf
from server.registry.outbox_shelf import OutboxShelf
from server.registry.presence_shelf import PresenceShelf, Reached
from server.registry.registry import Registry
from server.registry.study_shelf import StudyShelf


def versions() -> dict[str, str]:
    """What this server runs."""
    found = {"python": python_version()}
    for package in ("wardround", "flwr"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:  # run from a folder that was never installed
            found[package] = "unknown"
    return found


@dataclass(frozen=True, slots=True)
class Intake:
    """Carries what sites say into the registry. Every message is one transaction.

    Attributes:
        registry: of the server.
        signer: countersigns heads.
        beat: seconds between heartbeats, as sites are told.
        versions: of the server, as sites are told.
    """

    registry: Registry
    signer: Countersigner
    beat: float
    versions: dict[str, str]

    def arrive(self, site: str, arrival: Arrival) -> list[FromServer]:
        """The welcome, with what was signed before, and the head's signature where it has one."""
        connection = self.registry.connection
        with self.registry.transaction():
            newest = self.signer.newest(site)
            PresenceShelf(connection).arrive(site, arrival.versions)
            self._catch_up(site, arrival.acknowledged)
            for standing in arrival.standings:
                self._stand(site, standing)
            signed = self.signer.countersign(site, arrival.head)
        welcome = Welcome(
            protocol=PROTOCOL,
            versions=self.versions,
            time=time.time(),
            heartbeat_seconds=self.beat,
            newest=newest,
        )
        said = [FromServer(welcome=welcome)]
        return [*said, FromServer(countersigned=signed)] if signed.branch else said

    def stand(self, site: str, standing: Standing) -> None:
        """Note where a study stands at the site."""
        with self.registry.transaction():
            self._stand(site, standing)

    def progress(self, site: str, told: Progress) -> None:
        """Note how far the site's readers are; counts that fall sound an alarm."""
        connection = self.registry.connection
        reached = Reached(told.granted, told.spent, told.readings, told.waiting, told.minutes)
        with self.registry.transaction():
            if not self._known(site, told.study):
                return
            if PresenceShelf(connection).tell(site, told.study, told.cycle, reached):
                AlarmShelf(connection).sound(
                    "progress-back",
                    "fewer readings were told than before in one cycle; the larger count stays",
                    site,
                )

    def head(self, site: str, head: Head) -> FromServer:
        """The head's signature."""
        with self.registry.transaction():
            return FromServer(countersigned=self.signer.countersign(site, head))

    def clock(self, site: str, sent: float, before: bool | None) -> tuple[float, bool]:
        """How many seconds the site's clock is ahead, and whether that is too far to work with.

        Args:
            site: its name.
            sent: the time of its message by its own clock, seconds since 1970.
            before: whether its clock was wrong when it was last asked; None if it never was.
        """
        skew = sent - time.time()
        wrong = not -CLOCK_BEHIND <= skew <= CLOCK_AHEAD
        alarms = AlarmShelf(self.registry.connection)
        if wrong and not before:
            way = "ahead" if skew > 0 else "behind"
            words = f"the site's clock is {min(abs(skew), 1e10):.0f} s {way} of the server's"
            alarms.sound("clock-skew", words, site)
        if not wrong and before is not False:
            alarms.clear("clock-skew", site)
        return skew, wrong

    def _catch_up(self, site: str, acknowledged: int) -> None:
        shelf = OutboxShelf(self.registry.connection)
        if shelf.catch_up(site, acknowledged):
            AlarmShelf(self.registry.connection).sound(
                "registry-restored",
                "the site has carried out more than this registry ever sent; "
                "what it may have missed is sent again",
                site,
            )
        if acknowledged > shelf.acknowledged(site):
            shelf.acknowledge(site, acknowledged)

    def _stand(self, site: str, standing: Standing) -> None:
        if self._known(site, standing.study):
            PresenceShelf(self.registry.connection).stand(site, standing.study, standing.state)

    def _known(self, site: str, identity: str) -> bool:
        """Whether the site takes part in that study; what is told of another is not kept."""
        study = StudyShelf(self.registry.connection).get(identity)
        if study is not None and site in study.sites:
            return True
        AlarmShelf(self.registry.connection).sound(
            "unknown-study",
            "something told of a study that was not submitted for this site was not kept",
            site,
        )
        return False
