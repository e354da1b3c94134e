"""A tiny study and tiny sites: real homes, databases and images in the test's own folder."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import hypothesis
import numpy as np
import pytest

from client.home import HomeConfig, make_home, open_store
from client.keys import SiteKey
from client.opening import open_home
from client.queue import next_case, submit
from client.site import Arrival, Site, enrol
from client.store.reading_shelf import Opening
from client.store.store import SiteStore
from protocol.codec import digest
from protocol.records import Answer, Arrays, Reading
from protocol.steps import Reply, StepRequest
from protocol.study import Study, parse

TINY = {
    "schema": 1,
    "name": "tiny",
    "task": {
        "image": [1, 8, 8],
        "classes": [{"name": "no", "definition": "n"}, {"name": "yes", "definition": "y"}],
    },
    "network": {"name": "tiny-cnn"},
    "training": {"rounds_per_cycle": 1, "local_epochs": 1, "min_steps": 1, "max_steps": 2},
    "query": {"strategy": "entropy"},
    "budget": {"total": 24, "per_cycle": 12},
    "audit": {"patients": 0.25},
}


# A machine may be busy; and the same tests of the same code draw the same examples.
hypothesis.settings.register_profile("ours", deadline=None, derandomize=True)
hypothesis.settings.load_profile("ours")


@pytest.fixture
def one_torch_thread() -> Iterator[None]:
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def tiny_study() -> Callable[..., Study]:
    """Makes the tiny study after overrides such as "budget.total=40"."""

    def make(*overrides: str) -> Study:
        return parse(TINY, overrides)

    return make


@pytest.fixture
def first_weights() -> Callable[[Study], Arrays]:
    """A study's first weights."""
    from client.learning.networks import initial_arrays

    return initial_arrays


@pytest.fixture
def truth() -> Callable[[int], tuple[int, ...]]:
    """The true answer of a source row: odd rows are positive."""
    return lambda row: (0, 1) if row % 2 else (1, 0)


@pytest.fixture
def tiny_site(
    tmp_path: Path,
    first_weights: Callable[[Study], Arrays],
    truth: Callable[[int], tuple[int, ...]],
    one_torch_thread: None,
) -> Iterator[Callable[..., Site]]:
    """Makes a site of 40 images of 20 patients, and 8 locked ones of 4 more; approves a study."""
    opened: list[Site] = []

    def make(
        study: Study | None = None,
        name: str = "north",
        number: int = 0,
        *,
        pool: int = 40,
        locked: int = 8,
        folder: Path = tmp_path,
        locked_truth: Callable[[int], tuple[int, ...]] = truth,
    ) -> Site:
        home, n = folder / name, pool + locked
        rng = np.random.default_rng(number)
        images = rng.integers(0, 120, (n, 1, 8, 8), dtype=np.uint8)
        images[1::2, 0, 2:5, 2:5] = 250
        make_home(home, HomeConfig(name=name, number=number, images="i.npy", durable=False))
        np.save(home / "i.npy", images)
        site = open_home(home)
        arrival = Arrival(
            names=[f"image-{name}-{row}" for row in range(n)],
            patients=[f"person-{name}-{row // 2}" for row in range(n)],
            splits=["pool" if row < pool else "locked" for row in range(n)],
            rows=range(n),
            targets=np.array([locked_truth(row) for row in range(n)], dtype=np.uint8),
        )
        key = SiteKey(hashlib.sha256(name.encode()).digest())
        enrol(site.store, key, arrival, clustered=True)
        if study is not None:
            with site.store.transaction():
                site.store.steps.approve(study, digest(first_weights(study)))
        opened.append(site)
        return site

    yield make
    for site in opened:
        site.store.close()


@pytest.fixture
def ask() -> Callable[..., Reply]:
    """Asks a site for a step as its ClientApp does, with an epoch that is high enough."""
    from client.dispatch import answer
    from protocol.records import StepKey

    def one(site: Site, study: Study, step: str, **given: Any) -> Reply:
        key = StepKey(
            study.identity,
            given.pop("cycle", 0),
            step,
            given.pop("round", 0),
            given.pop("sequence", 0),
        )
        return answer(site, StepRequest(key, given.pop("epoch", 1), **given))

    return one


@pytest.fixture
def read_cases(
    truth: Callable[[int], tuple[int, ...]],
) -> Callable[..., int]:
    """Lets readers answer a cycle's open cases by turns, through the queue; how many they did."""

    def read(
        store: SiteStore,
        study: Study,
        cycle: int = 0,
        *,
        most: int = 10**6,
        readers: Sequence[str] = ("ann", "ben"),
        seconds: float = 20.0,
        say: Callable[[Opening, int], tuple[Answer, tuple[int, ...]]] | None = None,
    ) -> int:
        done, idle = 0, 0
        while done < most and idle < len(readers):
            reader = readers[done % len(readers)] if not idle else readers[(done + 1) % 2]
            opening = next_case(store, study, cycle, reader)
            if opening is None:
                idle += 1
                continue
            idle = 0
            row = int(store.cases.rows(np.array([opening.case]))[0])
            answer, value = say(opening, row) if say else ("answered", truth(row))
            at = f"2026-01-05T08:00:{done % 60:02d}+00:00"
            submit(store, study, cycle, opening, Reading("", reader, at, seconds, answer, value))
            done += 1
        return done

    return read


@pytest.fixture
def tiny_store(tmp_path: Path) -> Iterator[SiteStore]:
    """A store without cases."""
    store = open_store(tmp_path, durable=False)
    yield store
    store.close()
