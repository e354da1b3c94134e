"""Real daemons with real children, killed in every way."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from daemons.service import Service
from daemons.status import DaemonStatus, read_status
from daemons.supervisor import ask_restart, supervise

SLEEPER = "import time; time.sleep(600)"
PARENT = f"""
import pathlib, subprocess, sys
inner = subprocess.Popen([sys.executable, "-c", {SLEEPER!r}])
pathlib.Path("grandchild").write_text(str(inner.pid))
inner.wait()
"""
STUBBORN = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {SLEEPER}"
DAEMON = """
import sys
from pathlib import Path
from daemons.supervisor import Alive, Pace, Service, supervise

HOME = Path({home!r})

def py(code, *words):
    return (sys.executable, "-c", code, *words)

SERVICES = [{services}]
PACE = Pace(backoff=0.05, longest=0.4, calm=60, ready_timeout=0.4, ready_every=0.02,
            sick_every=0.05, orphans=1, log_bytes=4096)
try:
    sys.exit(supervise(SERVICES, HOME, HOME / "run", HOME / "logs", PACE))
except Exception as error:
    sys.exit(f"{{type(error).__name__}}: {{error}}")
"""


def wait_for(true: Callable[[], bool], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.02)


def lives(pid: int) -> bool:
    """Whether the process runs; one that is dead and not yet asked how does not."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] not in "ZX"


class Daemon:
    """A daemon of the test's own services, in its own process."""

    def __init__(self, home: Path) -> None:
        self.home, self.started = home, list[subprocess.Popen[str]]()

    def start(self, *services: str, env: dict[str, str] | None = None) -> subprocess.Popen[str]:
        script = DAEMON.format(home=str(self.home), services=", ".join(services))
        child = subprocess.Popen(
            [sys.executable, "-c", script],
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **(env or {})},
        )
        self.started.append(child)
        return child

    def status(self) -> DaemonStatus:
        return read_status(self.home / "run")

    def pid(self, name: str) -> int | None:
        return next((s.pid for s in self.status().services if s.name == name), None)

    def up(self, *names: str) -> list[int]:
        """Wait until the services are up; their pids."""
        wait_for(
            lambda: {*names} <= {s.name for s in self.status().services if s.state == "up"},
        )
        return [self.pid(name) or 0 for name in names]

    def grandchild(self) -> int:
        wait_for(lambda: (self.home / "grandchild").exists())
        wait_for(lambda: (self.home / "grandchild").read_text() != "")
        return int((self.home / "grandchild").read_text())

    def guardian(self, daemon: int) -> int:
        children = Path(f"/proc/{daemon}/task/{daemon}/children").read_text().split()
        named = {int(c): Path(f"/proc/{c}/comm").read_text().strip() for c in children}
        return next((pid for pid, name in named.items() if name == "guardian"), 0)

    def end(self) -> None:
        for child in self.started:
            if child.poll() is None:
                child.terminate()
                child.wait(15)
            if child.stderr:
                child.stderr.close()
        wait_for(lambda: self.status().state == "stopped")


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    made = Daemon(tmp_path)
    yield made
    made.end()


SLEEP = f"Service('sleep', py({SLEEPER!r}))"


def test_what_is_killed_is_started_anew(daemon: Daemon) -> None:
    daemon.start(SLEEP)
    (first,) = daemon.up("sleep")
    os.kill(first, signal.SIGKILL)
    wait_for(lambda: daemon.pid("sleep") not in (None, first))
    (service,) = daemon.status().services
    assert (service.restarts, service.last_exit) == (1, -signal.SIGKILL)
    assert service.why == "killed by SIGKILL"
    assert not lives(first)


def test_what_ends_well_is_started_anew_later_and_later(daemon: Daemon) -> None:
    script = "import time; open('times', 'a').write(f'{time.monotonic()}\\n')"
    daemon.start(f"Service('brief', py({script!r}))")
    times = daemon.home / "times"
    wait_for(lambda: times.exists() and len(times.read_text().splitlines()) >= 5)
    at = [float(line) for line in times.read_text().splitlines()]
    gaps = [after - before for before, after in itertools.pairwise(at)]
    for gap, least in zip(gaps, (0.05, 0.1, 0.2, 0.4), strict=False):
        assert gap >= least
    assert daemon.status().services[0].last_exit == 0


def test_a_killed_daemon_leaves_no_orphan(daemon: Daemon) -> None:
    main = daemon.start(
        SLEEP, f"Service('tree', py({PARENT!r}))", f"Service('deaf', py({STUBBORN!r}))"
    )
    pids = [*daemon.up("sleep", "tree", "deaf"), daemon.grandchild()]
    main.kill()
    main.wait()
    assert daemon.status().state == "ending"
    wait_for(lambda: not any(lives(pid) for pid in pids), 12)
    wait_for(lambda: daemon.status().state == "stopped")
    assert {s.state for s in daemon.status().services} == {"down"}


def test_a_daemon_started_after_a_kill_waits_for_the_orphans(daemon: Daemon) -> None:
    service = f"Service('deaf', py({STUBBORN!r}))"
    first = daemon.start(service)
    (old,) = daemon.up("deaf")
    first.kill()
    first.wait()
    daemon.start(service)
    wait_for(lambda: daemon.status().state == "running")
    assert not lives(old)


def test_a_killed_guardian_is_replaced(daemon: Daemon) -> None:
    main = daemon.start(SLEEP)
    pids = daemon.up("sleep")
    wait_for(lambda: daemon.guardian(main.pid) != 0)
    first = daemon.guardian(main.pid)
    os.kill(first, signal.SIGKILL)
    wait_for(lambda: daemon.guardian(main.pid) not in (0, first))
    main.kill()
    wait_for(lambda: not any(lives(pid) for pid in pids))


def test_it_stops_in_reverse_order_and_leaves_nothing(daemon: Daemon) -> None:
    script = textwrap.dedent("""
        import signal, sys, time
        def stop(*_):
            time.sleep(0.1)
            open('order', 'a').write(sys.argv[1] + ' ')
            sys.exit(0)
        signal.signal(signal.SIGTERM, stop)
        open('ready-' + sys.argv[1], 'w').close()
        time.sleep(600)
    """)
    names = ("one", "two", "three")
    ready = "(HOME / 'ready-{0}').exists"
    main = daemon.start(
        *(f"Service('{n}', py({script!r}, '{n}'), ready={ready.format(n)})" for n in names),
        f"Service('tree', py({PARENT!r}))",
    )
    pids = [*daemon.up(*names, "tree"), daemon.grandchild()]
    main.terminate()
    assert main.wait(10) == 0
    assert (daemon.home / "order").read_text().split() == ["three", "two", "one"]
    assert not any(lives(pid) for pid in pids)
    assert daemon.status().state == "stopped"


def test_what_does_not_end_is_killed_after_its_grace(daemon: Daemon) -> None:
    main = daemon.start(f"Service('deaf', py({STUBBORN!r}), grace=0.3)")
    daemon.up("deaf")
    time.sleep(0.2)  # python sets the signal aside a moment after it started
    begun = time.monotonic()
    main.terminate()
    assert main.wait(10) == 0
    assert 0.3 <= time.monotonic() - begun < 3
    assert daemon.status().services[0].last_exit == -signal.SIGKILL


def test_a_second_signal_hurries(daemon: Daemon) -> None:
    main = daemon.start(f"Service('deaf', py({STUBBORN!r}), grace=60)")
    daemon.up("deaf")
    time.sleep(0.2)
    main.send_signal(signal.SIGINT)
    time.sleep(0.2)
    assert main.poll() is None
    main.send_signal(signal.SIGINT)
    assert main.wait(5) == 0


def test_the_next_starts_when_the_one_before_is_ready(daemon: Daemon) -> None:
    script = f"import time; time.sleep(0.2); open('first-ready', 'w').close(); {SLEEPER}"
    second = f"import os; open('seen', 'w').write(str(os.path.exists('first-ready'))); {SLEEPER}"
    daemon.start(
        f"Service('first', py({script!r}), ready=(HOME / 'first-ready').exists)",
        f"Service('second', py({second!r}))",
    )
    daemon.up("first", "second")
    wait_for(lambda: (daemon.home / "seen").exists() and (daemon.home / "seen").read_text() != "")
    assert (daemon.home / "seen").read_text() == "True"


def test_one_that_never_gets_ready_does_not_hold_the_next(daemon: Daemon) -> None:
    daemon.start(f"Service('never', py({SLEEPER!r}), ready=lambda: 1 / 0)", SLEEP)
    daemon.up("sleep")
    assert daemon.status().services[0].state == "starting"


def test_a_second_daemon_is_refused(daemon: Daemon) -> None:
    first = daemon.start(SLEEP)
    (pid,) = daemon.up("sleep")
    second = daemon.start(SLEEP)
    _, said = second.communicate(timeout=10)
    assert said.strip() == f"Refused: a daemon already runs on this home (pid {first.pid})"
    assert second.returncode == 1
    assert daemon.pid("sleep") == pid


def test_what_is_sick_is_started_anew(daemon: Daemon) -> None:
    sick = "lambda alive: 'deaf for 3 minutes' if (HOME / 'sick').exists() else ''"
    daemon.start(f"Service('sleep', py({SLEEPER!r}), sick={sick})")
    (first,) = daemon.up("sleep")
    (daemon.home / "sick").touch()
    wait_for(lambda: not lives(first))
    (daemon.home / "sick").unlink()
    wait_for(lambda: daemon.pid("sleep") not in (None, first))
    assert daemon.status().services[0].why == "deaf for 3 minutes"


def test_a_request_starts_one_service_anew_once(daemon: Daemon) -> None:
    daemon.start(SLEEP, f"Service('other', py({SLEEPER!r}))")
    first, other = daemon.up("sleep", "other")
    ask_restart(daemon.home / "run", "sleep")
    wait_for(lambda: daemon.pid("sleep") not in (None, first))
    assert not (daemon.home / "run" / "restart-sleep").exists()
    time.sleep(0.2)
    assert {s.name: s.restarts for s in daemon.status().services} == {"sleep": 1, "other": 0}
    assert daemon.pid("other") == other


def test_a_command_that_is_not_there_is_tried_again(daemon: Daemon, tmp_path: Path) -> None:
    daemon.start("Service('late', (str(HOME / 'tool'),))", SLEEP)
    daemon.up("sleep")
    late = daemon.status().services[0]
    assert (late.state, late.pid, late.last_exit) == ("down", None, None)
    assert late.why == f"{tmp_path}/tool cannot be started (No such file or directory)"
    (tmp_path / "tool").write_text("#!/bin/sh\nexec sleep 600\n")
    (tmp_path / "tool").chmod(0o700)
    daemon.up("late")


def test_the_group_of_the_dead_is_swept_before_the_next_start(daemon: Daemon) -> None:
    daemon.start(f"Service('tree', py({PARENT!r}))")
    (first,) = daemon.up("tree")
    inner = daemon.grandchild()
    os.kill(first, signal.SIGKILL)
    wait_for(lambda: daemon.pid("tree") not in (None, first))
    assert not lives(inner)


def test_logs_stay_short_and_private(daemon: Daemon) -> None:
    script = "import time\nfor i in range(10**9): print('line', i, flush=True); time.sleep(0.0005)"
    daemon.start(f"Service('chatty', py({script!r}))")
    log, past = daemon.home / "logs" / "chatty.log", daemon.home / "logs" / "chatty.log.1"
    wait_for(past.exists)
    first = past.read_bytes()
    wait_for(lambda: past.read_bytes() not in (first, b""))
    assert log.stat().st_size < 64 * 1024
    assert past.stat().st_mode & 0o777 == log.stat().st_mode & 0o777 == 0o600
    assert b"\0" not in log.read_bytes()


def test_the_status_is_always_whole(daemon: Daemon) -> None:
    daemon.start("Service('brief', ('/bin/true',))", "Service('brief-too', ('/bin/false',))")
    file = daemon.home / "run" / "status.json"
    wait_for(file.exists)
    seen, deadline = set(), time.monotonic() + 0.5
    while time.monotonic() < deadline:
        content = json.loads(file.read_bytes())
        assert content["format"] == 1
        assert {*content["services"]} == {"brief", "brief-too"}
        seen.add(content["services"]["brief"]["restarts"])
    assert len(seen) > 2


def test_a_status_that_cannot_be_written_ends_no_daemon(daemon: Daemon) -> None:
    (daemon.home / "run" / "status.json").mkdir(parents=True)
    daemon.start("Service('one', ('/bin/sh', '-c', 'echo $$ > one; exec sleep 600'))")
    one = daemon.home / "one"
    wait_for(lambda: one.exists() and one.read_text() != "")
    os.kill(int(one.read_text()), signal.SIGKILL)
    one.unlink()
    wait_for(one.exists)
    (daemon.home / "run" / "status.json").rmdir()
    daemon.up("one")


def test_children_get_the_home_and_their_own_surroundings(daemon: Daemon) -> None:
    script = (
        "import os; assert os.environ['OURS'] == 'kept';"
        "open('seen', 'w').write(os.environ['MINE'] + ' ' + os.getcwd() + ' '"
        f"+ str(os.getpgid(0) == os.getpid())); {SLEEPER}"
    )
    daemon.start(f"Service('one', py({script!r}), env={{'MINE': 'x'}})", env={"OURS": "kept"})
    seen = daemon.home / "seen"
    wait_for(lambda: seen.exists() and seen.read_text() != "")
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


def test_a_home_that_never_ran(tmp_path: Path) -> None:
    status = read_status(tmp_path / "run")
    assert (status.state, status.healthy, status.services) == ("stopped", False, ())
    assert status.as_text() == "daemon stopped"


def test_the_status_for_a_person_and_for_a_program(daemon: Daemon) -> None:
    main = daemon.start(SLEEP)
    (pid,) = daemon.up("sleep")
    status = daemon.status()
    assert status.healthy
    assert status.as_dict()["pid"] == main.pid
    assert status.as_dict()["services"]["sleep"]["pid"] == pid  # type: ignore[index]
    assert status.as_text().splitlines()[1].split() == ["sleep", "up"]
