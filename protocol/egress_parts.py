"""What an outgoing record is made of besides single fields: arrays, tables, lists, parts."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from protocol.egress_fields import Rule, Taken, spoken, wrong

ARRAY_BYTES = 128
"""What numpy writes before an array's numbers."""


@dataclass(frozen=True, slots=True)
class Array:
    """An array of exactly this type and shape, of finite numbers in a range."""

    dtype: str
    shape: tuple[int, ...]
    least: float = -math.inf
    most: float = math.inf
    whole: bool = False

    def check(self, value: Any, arrays: Taken, path: str) -> Iterable[str]:
        """See `Rule`."""
        array = arrays.get(key(path))
        if value is not None or array is None:
            raise wrong(path, self.words)
        if array.dtype != np.dtype(self.dtype) or array.shape != self.shape:
            raise wrong(path, self.words)
        if array.size and not (
            np.isfinite(array).all() and self.least <= array.min() and array.max() <= self.most
        ):
            raise wrong(path, f"finite numbers of {self.least:g} to {self.most:g}")
        if self.whole and (array != np.rint(array)).any():
            raise wrong(path, "whole numbers")
        yield key(path)

    @property
    def words(self) -> str:
        """See `Rule`."""
        what = "counts" if self.whole else "numbers"
        return f"{' x '.join(map(str, self.shape))} {what} ({self.dtype})"

    @property
    def largest(self) -> int:
        """See `Rule`."""
        return math.prod(self.shape) * np.dtype(self.dtype).itemsize + ARRAY_BYTES + 64


@dataclass(frozen=True, slots=True)
class AsAsked:
    """Arrays with exactly the names, types and shapes of those that the request carried."""

    asked: Taken
    bytes: int

    def check(self, value: Any, arrays: Taken, path: str) -> Iterable[str]:
        """See `Rule`."""
        if type(value) is not dict or value.keys() != self.asked.keys():
            raise wrong(path, "the arrays that the request carried")
        for name, like in self.asked.items():
            array = arrays.get(f"{key(path)}/{name}")
            if value[name] is not None or array is None:
                raise wrong(path, "the arrays that the request carried")
            if array.shape != like.shape or array.dtype != like.dtype.newbyteorder("="):
                raise wrong(path, "the types and shapes that the request carried")
            if not np.isfinite(array).all():
                raise wrong(path, "finite numbers")
            yield f"{key(path)}/{name}"

    @property
    def words(self) -> str:
        """See `Rule`."""
        return "the model's numbers after training here, in the names and shapes that were sent"

    @property
    def largest(self) -> int:
        """See `Rule`."""
        return self.bytes


@dataclass(frozen=True, slots=True)
class Table:
    """Exactly these fields, or some of them."""

    fields: Mapping[str, Rule]
    some: bool = False

    def check(self, value: Any, arrays: Taken, path: str) -> Iterable[str]:
        """See `Rule`."""
        if type(value) is not dict:
            raise wrong(path, "a table")
        if not value.keys() <= self.fields.keys():
            raise wrong(path, "the fields of our table, and none besides")
        if not self.some and value.keys() != self.fields.keys():
            raise wrong(path, "all fields of our table")
        for name, item in value.items():
            yield from self.fields[name].check(item, arrays, f"{path}.{name}")

    @property
    def words(self) -> str:
        """See `Rule`."""
        kinds = {rule.words for rule in self.fields.values()}
        if len(kinds) == 1:
            return f"for each of {', '.join(self.fields)}: {next(iter(kinds))}"
        return "; ".join(f"{spoken(name)}: {rule.words}" for name, rule in self.fields.items())

    @property
    def largest(self) -> int:
        """See `Rule`."""
        return sum(len(name) + 5 + rule.largest for name, rule in self.fields.items()) + 3


@dataclass(frozen=True, slots=True)
class Perhaps:
    """The same, or nothing."""

    rule: Rule

    def check(self, value: Any, arrays: Taken, path: str) -> Iterable[str]:
        """See `Rule`."""
        if value is not None:
            yield from self.rule.check(value, arrays, path)

    @property
    def words(self) -> str:
        """See `Rule`."""
        return f"nothing, or: {self.rule.words}"

    @property
    def largest(self) -> int:
        """See `Rule`."""
        return max(4, self.rule.largest)


@dataclass(frozen=True, slots=True)
class Several:
    """A list of at most so many of the same."""

    rule: Rule
    most: int

    def check(self, value: Any, arrays: Taken, path: str) -> Iterable[str]:
        """See `Rule`."""
        if type(value) is not list or len(value) > self.most:
            raise wrong(path, f"a list of at most {self.most}")
        for item in value:
            yield from self.rule.check(item, arrays, path)

    @property
    def words(self) -> str:
        """See `Rule`."""
        return f"up to {self.most} times: {self.rule.words}"

    @property
    def largest(self) -> int:
        """See `Rule`."""
        return self.most * (self.rule.largest + 2) + 4


def key(path: str) -> str:
    """The codec's path of an array from ours, which begins with the record's kind."""
    return path.partition(".")[2].replace(".", "/")
