"""The cache never grows past its cap, and shows files whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from client.keys import SiteKey
from client.sources.cache import PixelCache
from client.sources.seal import Seal
from client.sources.source import SourceError


def size_of(folder: Path) -> int:
    return sum(p.stat().st_size for p in folder.rglob("*") if p.is_file())


def test_the_longest_unused_leave_first_and_the_cap_holds(tmp_path: Path) -> None:
    cache = PixelCache(tmp_path, cap=1000)
    for case in range(10):
        cache.put(case, "x", bytes(100))
        os.utime(tmp_path / f"{case:02x}" / f"{case}-x", (case, case))
    assert cache.find(0, "x") is not None  # used now
    for case in range(10, 40):
        cache.put(case, "x", bytes(100))
        assert size_of(tmp_path) <= 1000
    assert cache.find(39, "x") is not None
    assert cache.find(1, "x") is None


@pytest.mark.slow
def test_two_daemons_share_one_cap(tmp_path: Path) -> None:
    one, two = PixelCache(tmp_path, cap=1000), PixelCache(tmp_path, cap=1000)
    for case in range(200):
        (one if case % 2 else two).put(case, "x", bytes(50))
        assert size_of(tmp_path) <= 1050  # each looks again after a twentieth of the cap


def test_a_writer_that_dies_leaves_nothing_to_find(tmp_path: Path) -> None:
    cache = PixelCache(tmp_path, cap=1000)

    def interrupted() -> None:
        with cache.making(3, "v", 10) as fresh:
            fresh.write_bytes(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert cache.find(3, "v") is None
    assert size_of(tmp_path) == 0
    (tmp_path / "03").mkdir(exist_ok=True)
    stale = tmp_path / "03" / "3-v.1.2.part"  # as kill -9 leaves it
    stale.write_bytes(bytes(500))
    os.utime(stale, (1, 1))
    PixelCache(tmp_path, cap=1000).put(4, "v", b"x")
    assert not stale.exists()


def test_more_than_the_cap_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="larger cache"):
        PixelCache(tmp_path, cap=10).put(1, "x", bytes(11))


def test_forgetting_touches_no_other_case(tmp_path: Path) -> None:
    cache = PixelCache(tmp_path, cap=1000)
    for case in (1, 11, 257):  # 1 and 257 share a folder, 1 and 11 a first digit
        cache.put(case, "x", b"pixels")
    cache.forget([1])
    assert [cache.find(case, "x") is None for case in (1, 11, 257)] == [True, False, False]


def test_a_locator_opens_for_its_own_case_and_site_alone() -> None:
    seal = Seal(SiteKey(b"k" * 32))
    blob = seal.close({"root": "/patients/quill"}, "case-1")
    assert b"quill" not in blob
    assert seal.open(blob, "case-1") == {"root": "/patients/quill"}
    for other, case in ((seal, "case-2"), (Seal(SiteKey(b"j" * 32)), "case-1")):
        with pytest.raises(SourceError):
            other.open(blob, case)
    assert seal.close({}, "case-1") != seal.close({}, "case-1")
    assert np.unique(np.frombuffer(blob, np.uint8)).size > 10
