"""The loop around streams: dial, attend, wait, dial again; until it is told to stop."""

from __future__ import annotations

import asyncio
import random
import signal
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from client.attendance.dial import Ending, channel
from client.attendance.errand import Errands
from client.attendance.news import News
from client.attendance.notice import Notice
from client.attendance.stream import Stream
from client.home import Deployment, HomeConfig, HomeError, read_config
from client.paths import HomePaths
from client.store.store import SiteStore, now

_FIRST, _MOST = 0.5, 5.0  # seconds between attempts
_STEADY = 10.0  # seconds after which a stream counts as one that stood
_PATIENCE = 1500  # milliseconds for another process's write; a stop must not wait for long
SLOW = 60.0
"""Seconds between attempts where the server said no."""


@dataclass(slots=True)
class Backoff:
    """How long to wait before the next attempt.

    Attributes:
        slow: seconds after an attempt that trying again soon would not mend.
    """

    slow: float = SLOW
    _next: float = _FIRST

    def after(self, ending: Ending, lasted: float) -> float:
        """Seconds to wait after an attempt that took so long; jitter lets sites come back apart."""
        if lasted > _STEADY:
            self._next = _FIRST
        wait = self.slow if ending.slow else self._next
        self._next = min(self._next * 2, _MOST)
        return wait * random.uniform(0.5, 1.0)  # noqa: S311  # no secret


def deployment_of(home: Path) -> tuple[HomeConfig, Deployment]:
    """The configuration of a site that has joined.

    Raises:
        HomeError: it has not, or the configuration does not fit.
    """
    config = read_config(home)
    if config.deployment is None or not config.deployment.server:
        raise HomeError(f"{home} has joined no server: accepted after wardround-site join")
    return config, config.deployment


async def attend_for_ever(home: Path, slow: float = SLOW) -> None:
    """Keep a stream to the server until cancelled. A renewed certificate counts from the next one.

    Raises:
        HomeError: the site has joined no server.
    """
    config, deployment = deployment_of(home)
    paths = HomePaths(home)
    backoff, notice = Backoff(slow), Notice(paths.attendance)
    notice.tell(news="starting")
    with closing(SiteStore.open(paths.database, durable=config.durable)) as store:
        store.connection.execute(f"PRAGMA busy_timeout = {_PATIENCE}")
        news = News(store, config.name, deployment.progress_seconds)
        errands = Errands(paths, config.name, store)
        while True:
            began = time.monotonic()
            ended = await _attempt(paths, Stream(store, news, errands, notice))
            wait = backoff.after(ended, time.monotonic() - began)
            notice.tell(state="waiting", refusal=ended.words, refused=now())
            await asyncio.sleep(wait)


async def _attempt(paths: HomePaths, stream: Stream) -> Ending:
    try:
        _, deployment = deployment_of(paths.home)
        dialed = channel(paths, deployment)
    except HomeError:
        return Ending("site.toml cannot be read", slow=True)
    except ValueError:
        return Ending("the proxy in site.toml: accepted is [user:password@]host:port", slow=True)
    except OSError:
        return Ending("a key or certificate of this site is missing", slow=True)
    async with dialed:
        return await stream.attend(dialed)


def run(home: Path, slow: float = SLOW) -> None:
    """Attend until SIGTERM or SIGINT.

    Raises:
        HomeError: the site has joined no server.
    """

    async def until_told() -> None:
        task = asyncio.ensure_future(attend_for_ever(home, slow))
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, task.cancel)
        try:
            await task
        except asyncio.CancelledError:
            return

    asyncio.run(until_told())
