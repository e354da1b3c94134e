"""Keys that nobody outside the site can test a name against, and numbers that are uniform."""

from __future__ import annotations

import hmac
from hashlib import sha256

import numpy as np
import pytest
from scipy.stats import chisquare

from client.keys import SiteKey

KEY = SiteKey(b"0123456789abcdef")


def test_keys_are_the_hmac_they_always_were() -> None:
    # 32 hex digits of HMAC-SHA256; changing them would orphan every enrolled case
    wanted = hmac.new(b"0123456789abcdef", b"case\0scan-1", sha256).hexdigest()[:32]
    assert KEY.case("scan-1") == wanted == "2d09cb982522a11c0b736547259f5e44"
    assert KEY.patient("Ada") == "1e7a191aeafe261392e615883e9f834e"
    assert KEY.number("Ada") == float.fromhex("0x1.41150a31a9b20p-1")


def test_keys_differ_between_sites_and_between_what_they_name() -> None:
    other = SiteKey(b"fedcba9876543210")
    same = {KEY.case("Ada"), KEY.patient("Ada"), other.case("Ada"), other.patient("Ada")}
    assert len(same) == 4
    assert KEY.number("Ada") != other.number("Ada")


def test_keys_of_many_names_are_distinct() -> None:
    assert len({KEY.patient(f"p{i}") for i in range(5000)}) == 5000


@pytest.mark.parametrize("secret", [b"0123456789abcdef", b"another hospital's own secret"])
def test_numbers_are_uniform(secret: bytes) -> None:
    key = SiteKey(secret)
    numbers = np.array([key.number(f"person-{i}") for i in range(20_000)])
    assert numbers.min() >= 0
    assert numbers.max() < 1
    counts, _ = np.histogram(numbers, 50, (0, 1))
    assert chisquare(counts).pvalue > 0.001


def test_a_short_secret_is_refused() -> None:
    SiteKey(bytes(16))
    with pytest.raises(ValueError, match="15 bytes; accepted are 16 or more"):
        SiteKey(bytes(15))
