"""Real daemons whose children die, hang, fall ill or are not there."""

from __future__ import annotations

import itertools
import os
import signal
import time
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from daemons.service import Service
from daemons.supervisor import ask_restart, supervise

Daemon: TypeAlias = Any  # of conftest.py, which nothing imports


def test_what_is_killed_is_started_anew(daemon: Daemon) -> None:
    daemon.start(daemon.sleep)
    (first,) = daemon.up("sleep")
    os.kill(first, signal.SIGKILL)
    daemon.wait_for(lambda: daemon.pid("sleep") not in (None, first))
    (service,) = daemon.status().services
    assert (service.restarts, service.last_exit) == (1, -signal.SIGKILL)
    assert service.why == "killed by SIGKILL"
    assert not daemon.lives(first)


@pytest.mark.slow
def test_what_ends_well_is_started_anew_later_and_later(daemon: Daemon) -> None:
    script = "import time; open('times', 'a').write(f'{time.monotonic()}\\n')"
    daemon.start(f"Service('brief', py({script!r}))")
    times = daemon.home / "times"
    daemon.wait_for(lambda: times.exists() and len(times.read_text().splitlines()) >= 5)
    at = [float(line) for line in times.read_text().splitlines()]
    gaps = [after - before for before, after in itertools.pairwise(at)]
    for gap, least in zip(gaps, (0.05, 0.1, 0.2, 0.4), strict=False):
        assert gap >= least
    assert daemon.status().services[0].last_exit == 0


def test_the_next_starts_when_the_one_before_is_ready(daemon: Daemon) -> None:
    script = f"import time; time.sleep(0.2); open('first-ready', 'w').close(); {daemon.sleeper}"
    second = (
        f"import os; open('seen', 'w').write(str(os.path.exists('first-ready'))); {daemon.sleeper}"
    )
    daemon.start(
        f"Service('first', py({script!r}), ready=(HOME / 'first-ready').exists)",
        f"Service('second', py({second!r}))",
    )
    daemon.up("first", "second")
    daemon.wait_for(
        lambda: (daemon.home / "seen").exists() and (daemon.home / "seen").read_text() != ""
    )
    assert (daemon.home / "seen").read_text() == "True"


@pytest.mark.slow
def test_one_that_never_gets_ready_does_not_hold_the_next(daemon: Daemon) -> None:
    daemon.start(f"Service('never', py({daemon.sleeper!r}), ready=lambda: 1 / 0)", daemon.sleep)
    daemon.up("sleep")
    assert daemon.status().services[0].state == "starting"


@pytest.mark.slow
def test_a_second_daemon_is_refused(daemon: Daemon) -> None:
    first = daemon.start(daemon.sleep)
    (pid,) = daemon.up("sleep")
    second = daemon.start(daemon.sleep)
    _, said = second.communicate(timeout=10)
    assert said.strip() == f"Refused: a daemon already runs on this home (pid {first.pid})"
    assert second.returncode == 1
    assert daemon.pid("sleep") == pid


def test_what_is_sick_is_started_anew(daemon: Daemon) -> None:
    sick = "lambda alive: 'deaf for 3 minutes' if (HOME / 'sick').exists() else ''"
    daemon.start(f"Service('sleep', py({daemon.sleeper!r}), sick={sick})")
    (first,) = daemon.up("sleep")
    (daemon.home / "sick").touch()
    daemon.wait_for(lambda: not daemon.lives(first))
    (daemon.home / "sick").unlink()
    daemon.wait_for(lambda: daemon.pid("sleep") not in (None, first))
    assert daemon.status().services[0].why == "deaf for 3 minutes"


def test_a_request_starts_one_service_anew_once(daemon: Daemon) -> None:
    daemon.start(daemon.sleep, f"Service('other', py({daemon.sleeper!r}))")
    first, other = daemon.up("sleep", "other")
    ask_restart(daemon.home / "run", "sleep")
    daemon.wait_for(lambda: daemon.pid("sleep") not in (None, first))
    assert not (daemon.home / "run" / "restart-sleep").exists()
    time.sleep(0.2)
    assert {s.name: s.restarts for s in daemon.status().services} == {"sleep": 1, "other": 0}
    assert daemon.pid("other") == other


@pytest.mark.slow
def test_a_command_that_is_not_there_is_tried_again(daemon: Daemon, tmp_path: Path) -> None:
    daemon.start("Service('late', (str(HOME / 'tool'),))", daemon.sleep)
    daemon.up("sleep")
    late = daemon.status().services[0]
    assert (late.state, late.pid, late.last_exit) == ("down", None, None)
    assert late.why == f"{tmp_path}/tool cannot be started (No such file or directory)"
    (tmp_path / "tool").write_text("#!/bin/sh\nexec sleep 600\n")
    (tmp_path / "tool").chmod(0o700)
    daemon.up("late")


def test_logs_stay_short_and_private(daemon: Daemon) -> None:
    script = "import time\nfor i in range(10**9): print('line', i, flush=True); time.sleep(0.0005)"
    daemon.start(f"Service('chatty', py({script!r}))")
    log, past = daemon.home / "logs" / "chatty.log", daemon.home / "logs" / "chatty.log.1"
    daemon.wait_for(past.exists)
    first = past.read_bytes()
    daemon.wait_for(lambda: past.read_bytes() not in (first, b""))
    assert log.stat().st_size < 64 * 1024
    assert past.stat().st_mode & 0o777 == log.stat().st_mode & 0o777 == 0o600
    assert b"\0" not in log.read_bytes()


def test_children_get_the_home_and_their_own_surroundings(daemon: Daemon) -> None:
    script = (
        "import os; assert os.environ['OURS'] == 'kept';"
        "open('seen', 'w').write(os.environ['MINE'] + ' ' + os.getcwd() + ' '"
        f"+ str(os.getpgid(0) == os.getpid())); {daemon.sleeper}"
    )
    daemon.start(f"Service('one', py({script!r}), env={{'MINE': 'x'}})", env={"OURS": "kept"})
    seen = daemon.home / "seen"
    daemon.wait_for(lambda: seen.exists() and seen.read_text() != "")
    assert seen.read_text() == f"x {daemon.home.resolve()} True"


@pytest.mark.parametrize(
    ("services", "said"),
    [
        ([Service("a b", ("true",))], "a-z"),
        ([Service("a", ())], "empty"),
        ([Service("a", ("x",)), Service("a", ("y",))], "2 services have 1 names"),
    ],
)
def test_services_that_do_not_fit(services: list[Service], said: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=said):
        supervise(services, tmp_path, tmp_path / "run", tmp_path / "logs")
    assert not (tmp_path / "run").exists()


def test_what_dies_as_it_is_told_to_end_is_started_anew(daemon: Daemon) -> None:
    """Whoever asks how it ended must be the one who starts it anew."""
    sick = (
        "lambda alive: '' if (HOME / 'once').exists() else ((HOME / 'once').touch(), "
        "__import__('os').kill(alive.pid, 9), __import__('time').sleep(0.3), 'is sick')[-1]"
    )
    daemon.start(f"Service('sleep', py({daemon.sleeper!r}), sick={sick})")
    daemon.wait_for(lambda: any(s.restarts == 1 for s in daemon.status().services))
    daemon.up("sleep")
