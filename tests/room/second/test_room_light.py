"""The room is a light process: a model's opinion is read from the database, not made here."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

Made = Callable[..., Any]

LOOKS = """
import sys, time
from pathlib import Path
from client.opening import open_home
from client.room import app, library
from client.room.desk import Desk, Given
from client.room.second import SecondLook, as_told
site = open_home(Path(sys.argv[1]))
(identity,) = site.store.steps.approved()
study, ann = site.store.steps.study(identity), site.store.readers.find("ann")
Desk(site.store).next(study, ann)
given = Given("k" * 16, 0, 0, "answered", (1, 0, 0), 1.0)
Desk(site.store).answer(study, ann, given)
told = as_told(study, 0, SecondLook(site.store).opinion(study, ann, 0, 0))
print(told["opinion"]["probs"])
heavy = {"torch", "monai", "scipy", "flwr"} & {name.partition(".")[0] for name in sys.modules}
print(sorted(heavy))
"""


@pytest.mark.slow
def test_the_room_shows_an_opinion_without_torch(room: Any) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LOOKS, str(room.home)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["[0.125, 0.75, 0.125]", "[]"]
