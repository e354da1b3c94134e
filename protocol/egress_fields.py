"""The kinds of fields that may leave a site: what each lets through, in words, and its most bytes.

A rule sees the encoded record (JSON values, and arrays by path), which is what travels. What it
says of a refusal names our own field and never repeats content.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

from numpy.typing import NDArray

NUMBER_BYTES = 26
"""A number's digits in JSON, with the comma: -2.2250738585072014e-308 and two more."""

Taken = Mapping[str, NDArray[Any]]


class KeptBack(ValueError):
    """A record that may not leave: which field of ours, and why, without its content."""


class Rule(Protocol):
    """What one field may hold."""

    def check(self, value: Any, arrays: Taken, path: str) -> Iterable[str]:
        """The paths of the arrays that belong to the field.

        Raises:
            KeptBack: it holds anything else.
        """
        ...

    @property
    def words(self) -> str:
        """What it may hold, for people."""
        ...

    @property
    def largest(self) -> int:
        """Bytes of the largest it may hold."""
        ...


def wrong(path: str, accepted: str) -> KeptBack:
    """The refusal of a field."""
    return KeptBack(f"{path}: accepted is {accepted}")


@dataclass(frozen=True, slots=True)
class Text:
    """Characters that match a pattern from end to end, at most so many of them."""

    pattern: str
    most: int
    words: str

    def check(self, value: Any, arrays: Taken, path: str) -> Iterable[str]:
        """See `Rule`."""
        fits = type(value) is str and len(value) <= self.most
        if not fits or not re.fullmatch(self.pattern, value, re.ASCII):
            raise wrong(path, self.words)
        return ()

    @property
    def largest(self) -> int:
        """See `Rule`; patterns are of plain characters, one byte each, and two quotes."""
        return self.most + 3


@dataclass(frozen=True, slots=True)
class OneOf:
    """One of a few words."""

    choices: tuple[str, ...]

    def check(self, value: Any, arrays: Taken, path: str) -> Iterable[str]:
        """See `Rule`."""
        if type(value) is not str or value not in self.choices:
            raise wrong(path, self.words)
        return ()

    @property
    def words(self) -> str:
        """See `Rule`."""
        return f"one of {len(self.choices)} words: {', '.join(self.choices)}"

    @property
    def largest(self) -> int:
        """See `Rule`."""
        return max(map(len, self.choices)) + 3


@dataclass(frozen=True, slots=True)
class Whole:
    """A whole number in a range."""

    least: int = 0
    most: int = 10**9

    def check(self, value: Any, arrays: Taken, path: str) -> Iterable[str]:
        """See `Rule`."""
        if type(value) is not int or not self.least <= value <= self.most:
            raise wrong(path, self.words)
        return ()

    @property
    def words(self) -> str:
        """See `Rule`."""
        return f"a whole number from {self.least} to {self.most}"

    @property
    def largest(self) -> int:
        """See `Rule`."""
        return NUMBER_BYTES


@dataclass(frozen=True, slots=True)
class Number:
    """A finite number in a range; NaN too where something may be not estimable."""

    least: float
    most: float
    unknown: bool = False

    def check(self, value: Any, arrays: Taken, path: str) -> Iterable[str]:
        """See `Rule`."""
        fits = type(value) is float and (
            self.least <= value <= self.most or (self.unknown and math.isnan(value))
        )
        if not fits:
            raise wrong(path, self.words)
        return ()

    @property
    def words(self) -> str:
        """See `Rule`."""
        words = f"a number from {self.least:g} to {self.most:g}"
        return f"{words}, or not estimable" if self.unknown else words

    @property
    def largest(self) -> int:
        """See `Rule`."""
        return NUMBER_BYTES


@dataclass(frozen=True, slots=True)
class Flag:
    """True or false."""

    words: ClassVar[str] = "yes or no"
    largest: ClassVar[int] = 6

    def check(self, value: Any, arrays: Taken, path: str) -> Iterable[str]:
        """See `Rule`."""
        if type(value) is not bool:
            raise wrong(path, self.words)
        return ()


@dataclass(frozen=True, slots=True)
class Counts:
    """A list of exactly so many whole numbers; with two lengths, a table of them."""

    shape: tuple[int, ...]
    each: Whole = field(default_factory=Whole)

    def check(self, value: Any, arrays: Taken, path: str) -> Iterable[str]:
        """See `Rule`."""
        self._check(value, self.shape, path)
        return ()

    def _check(self, value: Any, shape: tuple[int, ...], path: str) -> None:
        if type(value) is not list or len(value) != shape[0]:
            raise wrong(path, self.words)
        for item in value:
            if len(shape) > 1:
                self._check(item, shape[1:], path)
            else:
                self.each.check(item, {}, path)

    @property
    def words(self) -> str:
        """See `Rule`."""
        return f"{' x '.join(map(str, self.shape))} counts"

    @property
    def largest(self) -> int:
        """See `Rule`."""
        return math.prod(self.shape) * NUMBER_BYTES + 4 * self.shape[0] + 4


def spoken(name: str) -> str:
    """A field's name as people read it."""
    return name.replace("_", " ")
