"""One cycle of a site by its messages, and what the tests ask about it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from client.site import Site
from client.store.step_shelf import StepRefused
from protocol.records import Arrays, Grant, SiteUpdate
from protocol.steps import Code
from protocol.study import Study


@pytest.fixture
def cycle_of(ask: Callable[..., Any], read_cases: Callable[..., int]) -> Callable[..., SiteUpdate]:
    """Reports, selects, reads and trains; what comes back is the update."""

    def go(
        site: Site, study: Study, arrays: Arrays, cycle: int, grant: int, **reading: Any
    ) -> SiteUpdate:
        ask(site, study, "report", cycle=cycle, arrays=arrays)
        ask(site, study, "select", cycle=cycle, grant=Grant(grant, ""))
        read_cases(site.store, study, cycle, **reading)
        update = ask(site, study, "train", cycle=cycle, arrays=arrays)
        assert isinstance(update, SiteUpdate)
        return update

    return go


@pytest.fixture
def refused(ask: Callable[..., Any]) -> Callable[..., Code]:
    """Asks for a step that is refused; the refusal's code."""

    def code(*given: Any, **more: Any) -> Code:
        with pytest.raises(StepRefused) as error:
            ask(*given, **more)
        return error.value.code

    return code


@pytest.fixture
def purposes() -> Callable[[Site, Study, int], list[str]]:
    """What a cycle's cases were opened for, in their order."""

    def found(site: Site, study: Study, cycle: int) -> list[str]:
        return [o.purpose for o in site.store.readings.opened(study.identity, cycle)]

    return found


@pytest.fixture
def audit_and_pool() -> Callable[[Site, Study], tuple[set[int], set[int]]]:
    """Ids of all audit cases and of all pool cases, before anything was read."""

    def found(site: Site, study: Study) -> tuple[set[int], set[int]]:
        left = site.store.cases.audit_left("", study.audit.patients, 0)
        return set(left.tolist()), set(site.store.cases.pool("", study.audit.patients, 0).tolist())

    return found
