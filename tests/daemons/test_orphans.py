"""Daemons that stop or are killed leave nothing behind."""

from __future__ import annotations

import os
import signal
import textwrap
import time
from pathlib import Path
from typing import Any, TypeAlias

import pytest

Daemon: TypeAlias = Any  # of conftest.py, which nothing imports


def test_a_killed_daemon_leaves_no_orphan(daemon: Daemon) -> None:
    main = daemon.start(
        daemon.sleep,
        f"Service('tree', py({daemon.parent!r}))",
        f"Service('deaf', py({daemon.stubborn!r}))",
    )
    pids = [*daemon.up("sleep", "tree", "deaf"), daemon.grandchild()]
    main.kill()
    main.wait()
    assert daemon.status().state == "ending"
    daemon.wait_for(lambda: not any(daemon.lives(pid) for pid in pids), 12)
    daemon.wait_for(lambda: daemon.status().state == "stopped")
    assert {s.state for s in daemon.status().services} == {"down"}


def test_a_daemon_started_after_a_kill_waits_for_the_orphans(daemon: Daemon) -> None:
    service = f"Service('deaf', py({daemon.stubborn!r}))"
    first = daemon.start(service)
    (old,) = daemon.up("deaf")
    first.kill()
    first.wait()
    daemon.start(service)
    daemon.wait_for(lambda: daemon.status().state == "running")
    assert not daemon.lives(old)


def test_a_killed_guardian_is_replaced(daemon: Daemon) -> None:
    main = daemon.start(daemon.sleep)
    pids = daemon.up("sleep")
    daemon.wait_for(lambda: daemon.guardian(main.pid) != 0)
    first = daemon.guardian(main.pid)
    os.kill(first, signal.SIGKILL)
    daemon.wait_for(lambda: daemon.guardian(main.pid) not in (0, first))
    main.kill()
    daemon.wait_for(lambda: not any(daemon.lives(pid) for pid in pids))


@pytest.mark.slow
def test_what_outlived_daemon_and_guardian_is_ended_by_the_next_daemon(daemon: Daemon) -> None:
    titled = f"import os, sys; os.execve(sys.executable, ['x', '-c', {daemon.sleeper!r}], {{}})"
    services = (
        f"Service('tree', py({daemon.parent!r}))",
        f"Service('deaf', py({daemon.stubborn!r}))",
        f"Service('titled', py({titled!r}))",  # nginx's title is written over its environment
    )
    first = daemon.start(*services)
    pids = [*daemon.up("tree", "deaf", "titled"), daemon.grandchild()]
    daemon.wait_for(lambda: not Path(f"/proc/{pids[2]}/environ").read_bytes())
    daemon.wait_for(lambda: daemon.guardian(first.pid) != 0)
    guardian = daemon.guardian(first.pid)
    os.kill(first.pid, signal.SIGSTOP)  # so that it makes no new guardian in between
    os.kill(guardian, signal.SIGKILL)
    first.kill()
    first.wait()
    assert all(daemon.lives(pid) for pid in pids)
    daemon.start(*services)
    daemon.wait_for(lambda: daemon.status().state == "running")
    daemon.wait_for(lambda: not any(daemon.lives(pid) for pid in pids))
    assert set(daemon.up("tree", "deaf", "titled")).isdisjoint(pids)


@pytest.mark.slow
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
        f"Service('tree', py({daemon.parent!r}))",
    )
    pids = [*daemon.up(*names, "tree"), daemon.grandchild()]
    main.terminate()
    assert main.wait(10) == 0
    assert (daemon.home / "order").read_text().split() == ["three", "two", "one"]
    assert not any(daemon.lives(pid) for pid in pids)
    assert daemon.status().state == "stopped"


def test_what_does_not_end_is_killed_after_its_grace(daemon: Daemon) -> None:
    main = daemon.start(f"Service('deaf', py({daemon.stubborn!r}), grace=0.3)")
    daemon.up("deaf")
    daemon.wait_for((daemon.home / "deaf").exists)
    begun = time.monotonic()
    main.terminate()
    assert main.wait(10) == 0
    assert 0.3 <= time.monotonic() - begun < 3
    assert daemon.status().services[0].last_exit == -signal.SIGKILL


def test_a_second_signal_hurries(daemon: Daemon) -> None:
    main = daemon.start(f"Service('deaf', py({daemon.stubborn!r}), grace=60)")
    daemon.wait_for((daemon.home / "deaf").exists)
    main.send_signal(signal.SIGINT)
    time.sleep(0.2)
    assert main.poll() is None
    main.send_signal(signal.SIGINT)
    assert main.wait(5) == 0


def test_the_group_of_the_dead_is_swept_before_the_next_start(daemon: Daemon) -> None:
    daemon.start(f"Service('tree', py({daemon.parent!r}))")
    (first,) = daemon.up("tree")
    inner = daemon.grandchild()
    os.kill(first, signal.SIGKILL)
    daemon.wait_for(lambda: daemon.pid("tree") not in (None, first))
    assert not daemon.lives(inner)
