"""Passwords as they are kept, and guesses as they are counted."""

from __future__ import annotations

import hashlib
import json
import time
from statistics import median
from typing import Any

import pytest
from argon2 import PasswordHasher

from daemons.web.passwords import MOST, PasswordRefused, hashed, is_right, is_stale
from daemons.web.sessions import (
    ALL_GUESSES,
    FROM_ONE_ADDRESS,
    GUESSES,
    LASTS,
    WITHIN,
    Guesses,
    Sessions,
)

WORD = "a long enough word"


@pytest.mark.slow
def test_what_is_kept_is_argon2id_at_owasp_s_cost() -> None:
    kept = hashed(WORD)
    assert kept.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert kept != hashed(WORD)  # each has a salt of its own
    assert is_right(kept, WORD)
    for wrong in ("", WORD + "!", WORD.upper(), "\ud800", "x" * 5000):
        assert not is_right(kept, wrong)
    for odd in ("", "{}", "$argon2id$", kept[:-4], '{"format": 1, "salt": "00", "hash": "00"}'):
        assert not is_right(odd, WORD)
    with pytest.raises(PasswordRefused, match="accepted are 12 or more"):
        hashed("short")
    with pytest.raises(PasswordRefused):
        hashed("x" * (MOST + 1))


def test_a_hash_of_another_cost_is_right_and_stale() -> None:
    cheap = PasswordHasher(time_cost=1, memory_cost=8192, parallelism=1).hash(WORD)
    assert is_right(cheap, WORD)
    assert is_stale(cheap)
    assert not is_stale(hashed(WORD))
    assert is_stale("{}")


@pytest.mark.slow
def test_a_hash_from_before_argon2_is_right_and_stale() -> None:
    salt = bytes(range(16))
    made = hashlib.scrypt(WORD.encode(), salt=salt, n=2**14, r=8, p=1, dklen=32, maxmem=2**26)
    kept = json.dumps({"format": 1, "salt": salt.hex(), "hash": made.hex()})
    assert is_right(kept, WORD)
    assert not is_right(kept, WORD + "!")
    assert is_stale(kept)


def test_a_session_ends_whoever_signs_in_meanwhile() -> None:
    clock = [0.0]
    sessions = Sessions(lambda: clock[0])

    class Ending(dict[str, tuple[float, str]]):
        """Another thread ends a session while somebody signs in."""

        def items(self) -> Any:
            found = [*super().items()]
            sessions.end(found[0][0])
            return found

    first, second = sessions.begin("ann"), sessions.begin("ben")
    sessions._until = Ending(sessions._until)
    third = sessions.begin("cat")
    assert [sessions.whose(t) for t in (first, second, third)] == ["", "ben", "cat"]
    clock[0] = LASTS + 1
    assert sessions.whose(second) == ""


@pytest.mark.slow
def test_a_name_that_nobody_has_is_as_slow() -> None:
    def took(kept: str) -> float:
        begun = time.process_time()
        assert not is_right(kept, "some other word")
        return time.process_time() - begun

    kept = hashed(WORD)
    is_right("", WORD)  # what nobody has is hashed once
    known, unknown = (median(took(one) for _ in range(7)) for one in (kept, ""))
    assert 0.5 < unknown / known < 2.0


def test_guesses_are_counted_by_name_and_by_address() -> None:
    clock = [0.0]
    guesses = Guesses(lambda: clock[0])
    for _ in range(GUESSES):
        assert not guesses.closed("ann", "a")
        guesses.wrong("ann", "a")
    assert guesses.closed("ann", "b")  # whatever the address
    assert not guesses.closed("ben", "a")
    assert guesses.closed("ben", "a", trying=GUESSES)  # many at once are none the more
    for number in range(FROM_ONE_ADDRESS):
        guesses.wrong(f"name-{number}", "a")
    assert guesses.closed("ben", "a")  # whatever the name
    assert not guesses.closed("ben", "b")
    assert not guesses.closed("ben")  # an address that is not known counts nothing
    clock[0] += WITHIN + 1
    assert not guesses.closed("ann", "a")


def test_many_names_from_everywhere_close_the_door_and_fill_no_memory() -> None:
    guesses = Guesses(lambda: 0.0)
    count = 0
    while not guesses.closed(f"name-{count}", f"address-{count}"):
        guesses.wrong(f"name-{count}", f"address-{count}")
        count += 1
    assert count == ALL_GUESSES
