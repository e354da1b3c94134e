"""kill -9 of every process of a running federation, at steps that nobody chose."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from daemons.status import read_status
from server.home import ServerPaths
from simulations.poc.rig import Broken, federation, sabotage
from simulations.poc.soundness import check_sound

pytestmark = [pytest.mark.faults, pytest.mark.filterwarnings("ignore::pytest.PytestWarning")]

PAUSE = 10.0
"""Seconds between two kills: shorter than a step."""

SERVER = ("server.coordination", "flower-superlink", "flower-superexec", "nginx: master")
SERVER += ("server.flower.serverapp", "server.flower.keeper", "wardround-server start")
SITE = ("client.flower.supernode", "client.flower.superexec", "client.flower.clientapp")
SITE += ("client.attendance", "simulations.poc.readers", "client.daemon")


def killed_in_turn(
    broken: Broken, home: Path, parts: tuple[str, ...], *first: Callable[[], object]
) -> str:
    """The study's last state, after one process of each kind was killed while it ran.

    `first` is waited for before the first kill.
    """
    hits: dict[str, bool] = {}

    def deed(part: str) -> None:
        hits[part] = broken.kill_when_there(home, part)

    deeds = [lambda part=part: deed(part) for part in parts]  # type: ignore[misc]
    work = sabotage([*first, *deeds], PAUSE)
    state = broken.until_over()
    work.join(200.0)
    assert [part for part in parts if not hits.get(part)] == []
    return state


def test_the_servers_processes_are_killed_one_by_one(tmp_path: Path) -> None:
    with federation(tmp_path / "poc", 3) as broken:
        assert killed_in_turn(broken, broken.layout.server, SERVER) == "ended"
        services = read_status(ServerPaths(broken.layout.server).run).services
        assert {s.name: s.state for s in services if s.state != "up"} == {}  # no port is held
        check_sound(broken.layout, broken.identity)


def test_a_sites_processes_are_killed_one_by_one(tmp_path: Path) -> None:
    with federation(tmp_path / "poc", 3) as broken:
        home = broken.layout.site("site-02")

        def at_work() -> None:
            broken.reads("site-02")

        assert killed_in_turn(broken, home, SITE, at_work) == "ended"
        check_sound(broken.layout, broken.identity)


def test_the_whole_machine_loses_power(tmp_path: Path) -> None:
    """Every process at once, twice; then everything is started as a machine would at its boot."""
    with federation(tmp_path / "poc", 3) as broken:

        def power_cut() -> None:
            broken.kill_everything()
            broken.start_all()

        work = sabotage([power_cut, power_cut], pause=40.0)
        assert broken.until_over() == "ended"
        work.join(200.0)
        check_sound(broken.layout, broken.identity)
