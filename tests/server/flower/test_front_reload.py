"""A certificate that `wardround-server certify` signed anew reaches nginx by itself."""

from __future__ import annotations

import signal
from datetime import UTC, datetime
from typing import Any

import pytest

from daemons.status import DaemonStatus, ServiceStatus
from server.flower import front
from server.keys import certify
from server.registry.alarm_shelf import AlarmShelf
from server.registry.registry import Registry


def test_a_new_certificate_is_read_by_the_running_nginx_once(
    house: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = ServiceStatus("nginx", "up", 4711, "2999-01-01T00:00:00+00:00", 0, None, "")
    told: list[tuple[int, int]] = []
    monkeypatch.setattr(
        front, "read_status", lambda run: DaemonStatus("running", 1, "", (service,))
    )
    monkeypatch.setattr(front.nginx, "accepted", lambda home: True)
    monkeypatch.setattr(front.os, "kill", lambda pid, number: told.append((pid, number)))
    house.paths.run.mkdir(exist_ok=True)
    registry = Registry.open(house.paths.registry)
    alarms, watched = AlarmShelf(registry.connection), front.Front(house.home)
    watched.follow(alarms)
    assert told == []
    service = ServiceStatus("nginx", "up", 4711, "2001-01-01T00:00:00+00:00", 0, None, "")
    certify(house.home, "", datetime.now(UTC))
    watched.follow(alarms)
    watched.follow(alarms)
    registry.close()
    assert told == [(4711, signal.SIGHUP)]
