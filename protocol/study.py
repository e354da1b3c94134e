"""The study file: one TOML document, one frozen `Study`, one hash that is its identity.

Unknown keys, wrong types and impossible combinations are refused in one sentence.
"""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError, field_validator, model_validator

from protocol.gain import check_gain
from protocol.networks import Network, ResNet
from protocol.privacy import Privacy, check_private
from protocol.rehearsal import Simulation, check_rehearsal
from protocol.sections import (
    Aggregation,
    Audit,
    Budget,
    Query,
    ReadingRule,
    Section,
    Stopping,
    Task,
    Training,
)
from protocol.sentences import refuse, sentence

SCHEMA = 1


class StudyError(ValueError):
    """A study file that is refused, in one sentence."""


class Study(Section):
    """A validated study: what is asked, of whom, with which model, for how many readings."""

    schema_: Literal[1] = Field(alias="schema", description="version of this file's format")
    name: str = Field(
        pattern=r"^[a-z][a-z0-9-]{0,40}$", description="lower-case letters, digits and hyphens"
    )
    seed: int = Field(0, ge=0, lt=2**63, description="of all simulated randomness")
    task: Task
    network: Network = Field(default_factory=ResNet)
    training: Training = Field(default_factory=Training)
    query: Query = Field(default_factory=Query)
    budget: Budget = Field(default_factory=Budget)
    audit: Audit = Field(default_factory=Audit)
    reading: ReadingRule = Field(default_factory=ReadingRule)
    aggregation: Aggregation = Field(default_factory=Aggregation)
    stopping: Stopping = Field(default_factory=Stopping)
    privacy: Privacy | None = Field(None, description="without it updates are not private")
    simulation: Simulation = Field(default_factory=Simulation)

    @field_validator("privacy", mode="before")
    @classmethod
    def _off(cls, value: object) -> object:
        return None if value == "off" else value  # so that an arm can leave it out

    @field_validator("schema_", mode="before")
    @classmethod
    def _whole(cls, value: object) -> object:
        if type(value) is not int:  # true and 1.0 equal 1, and are no version
            raise ValueError("not a whole number")
        return value

    @model_validator(mode="after")
    def _possible(self) -> Study:
        readers = self.simulation.readers
        said = "per_site" in readers.model_fields_set  # a frozen study says nothing of readers
        most = readers.per_site
        if said and self.reading.readers_per_case > most:
            wanted = self.reading.readers_per_case
            accepted = f"at most simulation.readers.per_site = {most}"
            raise refuse("reading.readers_per_case", wanted, accepted)
        if said and self.reading.most_readers > most:
            share = self.reading.second_share
            accepted = f"0 where simulation.readers.per_site = {most} read every case"
            raise refuse("reading.second_share", share, accepted)
        if self.training.loss == "evidential":
            if self.task.multi_label:
                raise refuse("training.loss", "evidential", "another in a multi-label task")
            if self.training.balancing == "weights":  # it has weights of its own
                raise refuse("training.balancing", "weights", "none or sampling with this loss")
        private = self.privacy is not None
        if self.privacy is not None:
            check_private(self.privacy, self.training, self.task, self.budget)
        check_gain(self.stopping.gain, self.budget, self.aggregation, private=private)
        check_rehearsal(self.simulation, self.task)
        return self

    @cached_property  # asked for at every step and reading
    def identity(self) -> str:
        """Hash of everything that hospitals agree to (hex, 64): the file less [simulation]."""
        content = self.model_dump(mode="json", by_alias=True, exclude={"simulation"})
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    def check_sites(self, sites: int) -> None:
        """Refuse a budget that cannot be shared between that many sites.

        Raises:
            StudyError: a cycle's budget is smaller than the sites' floors.
        """
        for key, count in (("first", self.budget.first), ("per_cycle", self.budget.per_cycle)):
            least = sites * max(self.budget.floor, 1)
            if count is not None and count < least:
                raise StudyError(
                    f"budget.{key} = {count}: accepted is at least {least}, "
                    f"{max(self.budget.floor, 1)} for each of {sites} sites"
                )

    def cycle_budget(self, cycle: int, spent: int) -> int:
        """What may be granted in a cycle after `spent` of the total, in the budget's unit."""
        wanted = self.budget.first if cycle == 0 and self.budget.first else self.budget.per_cycle
        return max(0, min(wanted, self.budget.total - spent))


def parse(document: Mapping[str, Any], overrides: Sequence[str] = ()) -> Study:
    """The study a TOML document says, after `a.b=c` overrides.

    Raises:
        StudyError: the first thing that is wrong, as one sentence.
    """
    content = _tuples(document)
    for override in overrides:
        content = _override(content, override)
    if isinstance(content.get("network"), Mapping):
        content["network"] = {"name": "resnet", **content["network"]}
    try:
        return Study.model_validate(content)
    except ValidationError as error:
        raise StudyError(sentence(Study, error.errors(include_url=False)[0])) from None


def load(path: Path, overrides: Sequence[str] = ()) -> Study:
    """The study in a file.

    Raises:
        StudyError: no such file, no TOML, or refused by `parse`.
    """
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise StudyError(f"{path}: cannot be read ({error.strerror})") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise StudyError(f"{path}: not a TOML file ({error})") from None
    return parse(document, overrides)


def document(study: Study) -> dict[str, Any]:
    """The study as plain tables for a TOML file, without keys that hold nothing."""
    content: dict[str, Any] = study.model_dump(mode="json", by_alias=True, exclude_none=True)
    return content


def _tuples(value: Any) -> Any:
    """TOML's lists as tuples, which is what strict frozen fields take."""
    if isinstance(value, Mapping):
        return {k: _tuples(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return tuple(_tuples(v) for v in value)
    return value


def _override(content: dict[str, Any], override: str) -> dict[str, Any]:
    """The content with one `a.b=c` applied; c is a TOML value, or a bare word."""
    key, sign, text = override.partition("=")
    path = [name.strip() for name in key.split(".")]
    if not sign or not all(path):
        raise StudyError(f"--set {override!r}: accepted is key=value, such as budget.total=240")
    changed = dict(content)
    table = changed
    for depth, name in enumerate(path[:-1], 1):
        inner = table.get(name, {})
        if not isinstance(inner, Mapping):
            raise StudyError(f"--set {override!r}: {'.'.join(path[:depth])} is not a table")
        table[name] = dict(inner)
        table = table[name]
    table[path[-1]] = _tuples(_value(override, text.strip()))
    return changed


def _value(override: str, text: str) -> Any:
    """A TOML value, or the text as it stands where it is a bare word such as tiny-cnn."""
    try:
        parsed = tomllib.loads(f"v = {text}")
    except tomllib.TOMLDecodeError:
        parsed = {}
    if len(parsed) == 1:
        return parsed["v"]
    if not text or text[0] in "\"'[{" or len(text.splitlines()) > 1:
        raise StudyError(f"--set {override!r}: accepted after = is a TOML value or a bare word")
    return text
