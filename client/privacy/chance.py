"""Where privacy noise and Poisson sampling come from: the operating system, or a simulated seed."""

from __future__ import annotations

import os
from dataclasses import dataclass
from math import floor
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from client.site import Site
from protocol.records import StepKey
from protocol.seeds import Purpose, generator
from protocol.study import Study


class Chance(Protocol):
    """A source of chance for what must not be guessed."""

    def normal(self, size: int) -> NDArray[np.float32]:
        """Standard normal numbers, (size,)."""
        ...

    def uniform(self, size: int) -> NDArray[np.float64]:
        """Numbers in [0, 1), (size,)."""
        ...

    def below(self, limit: int) -> int:
        """A whole number from 0 to limit - 1; limit may be of any size."""
        ...


@dataclass(frozen=True, slots=True)
class SystemChance:
    """The operating system's generator."""

    def normal(self, size: int) -> NDArray[np.float32]:
        """See `Chance`.

        Half the sum of four normals: the floating-point grid of a single one would tell which
        values the sum under it may have had (Mironov, CCS 2012; Holohan and Braghin, ESORICS 2021).
        """
        import torch  # three times as fast as numpy at this

        bits = np.frombuffer(_stream(16 * size), dtype=np.uint32).reshape(4, size)
        even = torch.from_numpy((bits + 0.5).astype(np.float32)).mul_(2.0**-32)  # in (0, 1]
        radius = even[:2].log_().mul_(-2).sqrt_()
        angle = even[2:].mul_(2 * np.pi)
        both = radius.mul_(angle.cos() + angle.sin())
        drawn: NDArray[np.float32] = (both[0] + both[1]).div_(2).numpy()
        return drawn

    def uniform(self, size: int) -> NDArray[np.float64]:
        """See `Chance`."""
        drawn = np.frombuffer(os.urandom(8 * size), dtype=np.uint64)
        return np.asarray((drawn >> np.uint64(11)) * 2.0**-53, dtype=np.float64)

    def below(self, limit: int) -> int:
        """See `Chance`."""
        bits = limit.bit_length()
        while True:
            drawn = int.from_bytes(os.urandom(-(-bits // 8))) >> (-bits % 8)
            if drawn < limit:
                return drawn


def _stream(size: int) -> bytes:
    """Bytes of ChaCha20, which is the system's generator, too, under a key that it draws anew.

    Six times as fast as asking the system for each of them, which took as long as the gradient.
    """
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms

    chacha = algorithms.ChaCha20(os.urandom(32), os.urandom(16))
    return Cipher(chacha, mode=None).encryptor().update(bytes(size))


@dataclass(frozen=True, slots=True)
class SeededChance:
    """A simulation's: the same numbers whenever the run is repeated or goes on."""

    rng: np.random.Generator

    def normal(self, size: int) -> NDArray[np.float32]:
        """See `Chance`."""
        return self.rng.standard_normal(size, dtype=np.float32)

    def uniform(self, size: int) -> NDArray[np.float64]:
        """See `Chance`."""
        return self.rng.random(size)

    def below(self, limit: int) -> int:
        """See `Chance`."""
        if limit < 2**62:
            return int(self.rng.integers(limit))
        bits = limit.bit_length()
        while True:
            drawn = int.from_bytes(self.rng.bytes(-(-bits // 8))) >> (-bits % 8)
            if drawn < limit:
                return drawn


def chance(site: Site, study: Study, key: StepKey, purpose: Purpose) -> Chance:
    """The step's source: seeded only at a simulated site, never at a hospital."""
    if not rehearsal(site):
        return SystemChance()
    return SeededChance(generator(study.seed, site.number, key.cycle, key.round, purpose))


def rehearsal(site: Site) -> bool:
    """Whether the site is simulated: no hospital's home lets every package in and syncs nothing."""
    return not site.durable and site.allow_import is True


def discrete_gaussian(deviation: float, source: Chance) -> int:
    """A whole number k with probability proportional to exp(-k^2 / (2 deviation^2)), exactly.

    Canonne, Kamath and Steinke, NeurIPS 2020, algorithms 1 to 3, in whole numbers throughout.

    Args:
        deviation: above 0; rounded up to a thousandth.
        source: of chance.
    """
    thousandths = -floor(-deviation * 1000)
    scale = thousandths // 1000 + 1
    square = thousandths * thousandths  # of the deviation, in millionths
    while True:
        drawn = _discrete_laplace(scale, source)
        # exp(-(|y| - s^2/t)^2 / (2 s^2)) with s^2 = square / 10^6
        top = (abs(drawn) * scale * 1_000_000 - square) ** 2
        if _exponential(top, 2 * square * scale * scale * 1_000_000, source):
            return drawn


def _discrete_laplace(scale: int, source: Chance) -> int:
    """k with probability proportional to exp(-|k| / scale)."""
    while True:
        rest = source.below(scale)
        if not _exponential(rest, scale, source):
            continue
        times = 0
        while _exponential(1, 1, source):
            times += 1
        size, negative = rest + scale * times, source.below(2) == 1
        if size or not negative:
            return -size if negative else size


def _exponential(top: int, bottom: int, source: Chance) -> bool:
    """True with probability exp(-top / bottom)."""
    while top > bottom:
        if not _exponential(1, 1, source):
            return False
        top -= bottom
    k = 1
    while source.below(bottom * k) < top:
        k += 1
    return k % 2 == 1
