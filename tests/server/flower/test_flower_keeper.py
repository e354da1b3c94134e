"""The keeper's parts, one look at a time, against a stand-in for the SuperLink."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import pytest

from protocol.bundle import fab
from protocol.coordination_pb2 import Order
from server.flower import keeper, serverapp
from server.flower.control import Control, Node, Run, pem_of
from server.flower.front import EXPIRY, Front
from server.flower.nodes import BURNED, DEAF, Watch, match_nodes
from server.flower.runs import FAILING, Runs
from server.flower.services import services
from server.registry.alarm_shelf import AlarmShelf
from server.registry.outbox_shelf import OutboxShelf
from server.registry.presence_shelf import PresenceShelf
from server.registry.registry import Registry
from server.registry.site_shelf import SiteShelf
from server.registry.study_shelf import StudyRow, StudyShelf

NGINX = pytest.mark.skipif(
    shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin") is None,
    reason="nginx is not installed (Debian package nginx)",
)


@dataclass
class SuperLink:
    """Keeps nodes and runs in lists."""

    listed: list[Node] = field(default_factory=list)
    started: list[Run] = field(default_factory=list)
    stopped: list[int] = field(default_factory=list)

    def nodes(self) -> list[Node]:
        return self.listed

    def register(self, key: bytes, name: str) -> int:
        self.listed.append(Node((1 << 63) + len(self.listed), key, "registered"))
        return self.listed[-1].id

    def unregister(self, node: int) -> None:
        self.listed = [
            replace(n, status="unregistered") if n.id == node else n for n in self.listed
        ]

    def runs(self) -> list[Run]:
        return list(reversed(self.started))

    def start(self, home: Path) -> int:
        self.started.append(Run((1 << 64) - 1 - len(self.started), "pending", "", str(home)))
        return self.started[-1].id

    def stop(self, run: int) -> None:
        self.stopped.append(run)
        self.end(run, "stopped")

    def end(self, run: int, ending: str = "failed") -> None:
        self.started = [
            replace(r, status="finished", ending=ending) if r.id == run else r for r in self.started
        ]

    def alive(self) -> list[int]:
        return [run.id for run in self.started if run.lives]


@pytest.fixture
def link() -> Any:
    return cast(Control, SuperLink())


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    opened = Registry.open(tmp_path / "registry.db")
    yield opened
    opened.close()


def study(registry: Registry, name: str = "chest") -> StudyRow:
    row = StudyRow(f"{name}-id", name, name, "w", "Ada", ("north",))
    StudyShelf(registry.connection).add(row)
    return row


def alarms(registry: Registry) -> set[tuple[str, str]]:
    return {(a.site, a.kind) for a in AlarmShelf(registry.connection).standing()}


def test_a_running_study_has_one_run_whatever_dies(
    registry: Registry, link: Any, tmp_path: Path
) -> None:
    study(registry)
    shelf = StudyShelf(registry.connection)
    runs = Runs(tmp_path, backoff=0.0)
    for _ in range(3):
        runs.match(registry, link)
    (first,) = link.alive()
    assert shelf.find("chest").run == first == (1 << 64) - 1  # Flower's ids have no sign
    link.end(first)
    runs.match(registry, link)
    (second,) = link.alive()
    assert second != first
    Runs(tmp_path).match(registry, link)  # a keeper that was killed and started anew
    assert link.alive() == [second]


def test_a_run_that_a_killed_keeper_had_just_started_is_taken_on(
    registry: Registry, link: Any, tmp_path: Path
) -> None:
    row = study(registry)
    orphan = link.start(tmp_path / row.folder)
    Runs(tmp_path).match(registry, link)
    assert link.alive() == [orphan]
    assert StudyShelf(registry.connection).find("chest").run == orphan


def test_strangers_and_twins_are_stopped(registry: Registry, link: Any, tmp_path: Path) -> None:
    row = study(registry)
    runs = Runs(tmp_path)
    runs.match(registry, link)
    kept = link.alive()
    strange, twin = link.start(Path("elsewhere")), link.start(tmp_path / row.folder)
    runs.match(registry, link)
    assert link.alive() == kept
    assert sorted(link.stopped) == sorted([strange, twin])


@pytest.mark.slow
def test_runs_that_die_young_wait_longer_and_raise_an_alarm(
    registry: Registry, link: Any, tmp_path: Path
) -> None:
    study(registry)
    runs = Runs(tmp_path, backoff=0.02, longest=0.1)
    starts = []
    while len(starts) < 6:
        runs.match(registry, link)
        for run in link.alive():
            starts.append(time.monotonic())
            link.end(run)
    gaps = [b - a for a, b in pairwise(starts)]
    assert gaps[0] >= 0.015  # our clock is read a moment after the runs' own
    assert gaps[2] >= 0.07
    assert ("", FAILING) in alarms(registry)
    StudyShelf(registry.connection).move("chest-id", "stopped")
    runs.match(registry, link)
    assert ("", FAILING) not in alarms(registry)


def test_a_paused_study_gets_time_to_end_by_itself(
    registry: Registry, link: Any, tmp_path: Path
) -> None:
    study(registry)
    runs = Runs(tmp_path)
    runs.match(registry, link)
    StudyShelf(registry.connection).move("chest-id", "paused")
    runs.match(registry, link)
    assert len(link.alive()) == 1
    Runs(tmp_path, grace=-1.0).match(registry, link)
    assert link.alive() == []
    StudyShelf(registry.connection).move("chest-id", "running")
    runs.match(registry, link)
    assert len(link.alive()) == 1  # at once: it had not died young


def test_nodes_become_those_of_active_sites(registry: Registry, link: Any, house: Any) -> None:
    house_registry = Registry.open(house.paths.registry)
    key = house.join("north", 0)
    stranger = link.register(pem_of(house.join("gone", 1)), "x")
    shelf = SiteShelf(house_registry.connection)
    with house_registry.transaction():
        shelf.revoke("gone", "2026-01-01T00:00:00+00:00")
    match_nodes(house_registry, link)
    link.listed = [replace(n, status="online") if n.key == pem_of(key) else n for n in link.listed]
    match_nodes(house_registry, link)
    site, seen = shelf.find("north"), PresenceShelf(house_registry.connection).of("north")
    assert site is not None
    assert site.node == link.listed[1].id
    assert seen is not None
    assert seen.node_online
    assert {n.id: n.status for n in link.listed}[stranger] == "unregistered"
    link.unregister(link.listed[1].id)  # somebody did it by hand
    match_nodes(house_registry, link)
    assert ("north", BURNED) in alarms(house_registry)
    house_registry.close()


def test_a_deaf_node_is_restarted_now_and_then_while_its_daemon_is_there(house: Any) -> None:
    registry = Registry.open(house.paths.registry)
    house.join("deaf", 5)
    shelf, watch = PresenceShelf(registry.connection), Watch()
    begun = datetime(2026, 1, 1, tzinfo=UTC)
    shelf.arrive("deaf", {}, begun.isoformat())
    shelf.note_node("deaf", False, begun.isoformat())

    def orders() -> list[str]:
        letters = OutboxShelf(registry.connection).after("deaf", 0)
        return [Order.FromString(letter.payload).kind for letter in letters]

    watch.look(registry, begun + timedelta(seconds=60))
    assert orders() == []
    for seconds in (91, 95, 100):
        watch.look(registry, begun + timedelta(seconds=seconds))
    assert orders() == ["restart-node"]
    assert ("deaf", DEAF) in alarms(registry)
    watch.again = 0.0
    watch.look(registry, begun + timedelta(seconds=300))
    assert orders() == ["restart-node"] * 2
    shelf.leave("deaf")
    watch.look(registry, begun + timedelta(seconds=900))
    assert len(orders()) == 2  # nobody is there to be asked
    shelf.note_node("deaf", True)
    watch.look(registry)
    assert ("deaf", DEAF) not in alarms(registry)
    registry.close()


def test_what_expires_within_a_month_is_an_alarm(house: Any) -> None:
    registry = Registry.open(house.paths.registry)
    front, shelf = Front(house.home), AlarmShelf(registry.connection)
    front.warn(shelf)
    assert ("", EXPIRY) not in alarms(registry)
    front.warn(shelf, datetime.now(UTC) + timedelta(days=365 * 15))
    assert ("", EXPIRY) in alarms(registry)
    front.warn(shelf)
    assert ("", EXPIRY) not in alarms(registry)
    registry.close()


def test_a_part_that_fails_is_tried_again_and_said_once(caplog: pytest.LogCaptureFixture) -> None:
    answers = iter([KeyError("patient Doe"), KeyError("x"), None])

    def look() -> None:
        if (error := next(answers)) is not None:
            raise error

    part = keeper.Part("nodes", 0.0, look)
    with caplog.at_level("INFO", "keeper"):
        for _ in range(3):
            part.tick()
    said = [record.getMessage() for record in caplog.records]
    assert said == ["nodes: KeyError; tried again every 0 s", "nodes: well again"]
    assert part.well


def test_only_our_bundle_and_open_studies_pass_the_guard(house: Any) -> None:
    registry = Registry.open(house.paths.registry)
    study(registry, "open")
    study(registry, "over")
    StudyShelf(registry.connection).move("over-id", "stopped")
    registry.close()
    serverapp.check_study(house.home, str(house.paths.studies / "open"))
    for asked in ("", "over", str(house.paths.studies / "over"), str(house.paths.studies)):
        with pytest.raises(serverapp.BundleRefused):
            serverapp.check_study(house.home, asked)
    install = serverapp._only_ours(lambda content, **options: Path("installed"))
    assert install(fab(), skip_prompt=True) == Path("installed")
    with pytest.raises(serverapp.BundleRefused):
        install(fab() + b"\0", skip_prompt=True)


@NGINX
def test_superexec_finds_our_launcher_first_and_refusals_for_the_rest(house: Any) -> None:
    from flwr.supercore.constant import TASK_TYPE_TO_COMMAND

    path = services(house.home, house.config)[1].env["PATH"]
    first = Path(path.split(os.pathsep)[0])
    assert {file.name for file in first.iterdir()} == set(TASK_TYPE_TO_COMMAND.values())
    for name in set(TASK_TYPE_TO_COMMAND.values()) - {"flwr-serverapp"}:
        done = subprocess.run([first / name, "--token", "x"], capture_output=True, check=False)
        assert done.returncode == 1


@NGINX
def test_everything_calls_nobody_and_listens_on_loopback(house: Any) -> None:
    found = services(house.home, house.config)
    assert [s.name for s in found][:5] == [
        "superlink", "superexec", "coordination", "nginx", "keeper",
    ]  # fmt: skip
    for service in found:
        assert service.env["FLWR_TELEMETRY_ENABLED"] == "0"
        assert service.env["FLWR_DISABLE_UPDATE_CHECK"] == "1"
        assert service.env["FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION"] == "1"
    words = found[0].command
    assert words[words.index("--host") + 1] == "127.0.0.1"
    assert {"--enable-supernode-auth", "--superexec-auth-secret-file"} <= set(words)
