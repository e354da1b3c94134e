"""Checks before a daemon starts: what was found, and the mend where it is not good."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Literal

Verdict = Literal["ok", "warn", "fail"]


@dataclass(frozen=True, slots=True)
class Found:
    """What one look found.

    Attributes:
        verdict: "warn" lets the daemon work; "fail" does not, or not safely.
        what: was found, in one sentence without a full stop.
        mend: what to do about it; "" where all is well.
    """

    verdict: Verdict
    what: str
    mend: str = ""


@dataclass(frozen=True, slots=True)
class Check:
    """A named finding.

    Attributes:
        name: the same in every run, for programs.
        verdict: ok, warn or fail.
        found: what was found.
        mend: "" if ok.
    """

    name: str
    verdict: Verdict
    found: str
    mend: str = ""


@dataclass(frozen=True, slots=True)
class Probe:
    """One look at something.

    Attributes:
        name: of the check it makes.
        ask: makes it.
        needs: names of probes before it; where one of them failed this one says nothing.
    """

    name: str
    ask: Callable[[], Found]
    needs: tuple[str, ...] = ()


def ok(what: str) -> Found:
    """All is well."""
    return Found("ok", what)


def warn(what: str, mend: str) -> Found:
    """It works, and will not for ever or not well."""
    return Found("warn", what, mend)


def fail(what: str, mend: str) -> Found:
    """It does not work."""
    return Found("fail", what, mend)


def run_probes(probes: Sequence[Probe]) -> tuple[Check, ...]:
    """Ask all, in order; a probe that breaks is a failed check and never ends the others."""
    made: list[Check] = []
    useless: set[str] = set()  # names that others cannot build on
    for probe in probes:
        lacking = [name for name in probe.needs if name in useless]
        found = _skipped(lacking[0]) if lacking else _asked(probe)
        if lacking or found.verdict == "fail":
            useless.add(probe.name)
        made.append(Check(probe.name, found.verdict, found.what, found.mend))
    return tuple(made)


def _skipped(name: str) -> Found:
    return warn(f"not checked, because {name} failed", f"first do what {name} says")


def _asked(probe: Probe) -> Found:
    try:
        return probe.ask()
    except Exception as error:  # whatever one look meets, the others are still wanted
        return fail(f"could not be checked ({type(error).__name__})", "look at it by hand")


def exit_code(checks: Sequence[Check]) -> int:
    """1 if one failed, else 0."""
    return int(any(check.verdict == "fail" for check in checks))


def as_json(checks: Sequence[Check]) -> dict[str, object]:
    """The checks for a program."""
    rows = [asdict(check) for check in checks]
    return {"format": 1, "ok": not exit_code(checks), "checks": rows}


def as_text(checks: Sequence[Check]) -> str:
    """The checks for a person: one line each, with the mend below what is not well."""
    width = max((len(check.name) for check in checks), default=0)
    lines = []
    for check in checks:
        lines.append(f"{check.verdict:4}  {check.name:{width}}  {check.found}")
        if check.mend:
            lines.append(f"{'':4}  {'':{width}}  mend: {check.mend}")
    count = Counter(check.verdict for check in checks)
    lines.append(f"{count['ok']} ok, {count['warn']} to look at, {count['fail']} failed")
    return "\n".join(lines)
