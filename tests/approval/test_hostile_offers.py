"""Studies that a hostile server offers: none ends the process that looks, or runs anything."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from client.examining import LARGEST, OfferRefused, check_names, read
from protocol.study import Study, StudyError, document, parse

NAMED = (
    "subprocess:Popen",
    "os:system",
    "/tmp/x.py",  # noqa: S108 - a name, not a file
    "__main__:main",
    "client.joining:Kit",
    "mylab.ideas:../evil",
    "mylabs:Evil",
)


def wrong(text: str, identity: str = "a" * 64) -> str:
    with pytest.raises(OfferRefused) as refused:
        check_names(read(text, identity), ("mylab",))
    assert str(refused.value).isprintable()
    return str(refused.value)


@pytest.mark.parametrize("depth", [100, 500, 900, 2000, 20_000])
def test_tables_within_tables_are_refused_in_words(
    tiny_study: Callable[..., Study], depth: int
) -> None:
    text = json.dumps(document(tiny_study()))
    nested = "[" * depth + "]" * depth
    key = '"arguments": '
    assert key in text
    assert wrong(text.replace(f"{key}{{}}", f'{key}{{"a": {nested}}}', 1))


@pytest.mark.parametrize(
    "text",
    [
        "", "\0", "{", "[]", "null", '"x"', '{"a":' * 50_000, "[" * 100_000 + "]" * 100_000,
        '{"schema": Infinity}', '{"schema": NaN}', '{"schema": ' + "9" * 200_000 + "}",
        '{"name": "\\ud800"}', " " * (LARGEST + 1),
    ],
)  # fmt: skip
def test_what_is_no_study_is_refused_in_words(text: str) -> None:
    begun = time.monotonic()
    assert "accepted" in wrong(text)
    assert time.monotonic() - begun < 5


@pytest.mark.parametrize("name", NAMED)
@pytest.mark.parametrize("key", ["query.strategy", "query.cold_start", "budget.policy"])
def test_names_outside_the_tables_and_listed_packages_are_refused(
    tiny_study: Callable[..., Study], key: str, name: str
) -> None:
    study = tiny_study(f'{key}="{name}"')
    assert wrong(json.dumps(document(study)), study.identity).startswith(f"{key} = ")


@pytest.mark.parametrize(
    "changed",
    [
        {"name": "../../etc"},
        {"name": "tiny\n"},
        {"name": "tiny/x"},
        {"task": {"image": [1, 10**6, 10**6]}},
        {"task": {"classes": [{"name": f"c{i}", "definition": "d"} for i in range(5000)]}},
        {"training": {"learning_rate": float("nan")}},
        {"network": {"name": "resnet", "weights": "/etc/passwd"}},
        {"network": {"name": "resnet", "pretrained": True}},
    ],
)
def test_a_study_beyond_bounds_is_none(
    tiny_study: Callable[..., Study], changed: dict[str, Any]
) -> None:
    whole = document(tiny_study())
    for key, value in changed.items():
        known = whole[key]
        whole[key] = {**known, **value} if isinstance(value, dict) else value
    begun = time.monotonic()
    with pytest.raises(StudyError):
        parse(whole)
    assert time.monotonic() - begun < 2
    wrong(json.dumps(whole))
