"""How checks are run and told."""

from __future__ import annotations

from daemons.preflight import Check, Found, Probe, as_json, as_text, exit_code, fail, ok, run_probes


def broken() -> Found:
    raise KeyError("a secret word")


def test_a_failure_silences_what_builds_on_it_and_nothing_else() -> None:
    asked = []

    def seen() -> Found:
        asked.append(1)
        return ok("fine")

    checks = run_probes(
        [
            Probe("port", lambda: fail("closed", "open it")),
            Probe("tls", seen, needs=("port",)),
            Probe("greeting", seen, needs=("tls",)),
            Probe("disk", seen),
        ]
    )
    assert [check.verdict for check in checks] == ["fail", "warn", "warn", "ok"]
    assert checks[2] == Check(
        "greeting", "warn", "not checked, because tls failed", "first do what tls says"
    )
    assert len(asked) == 1
    assert exit_code(checks) == 1


def test_a_check_that_breaks_is_a_failure_without_its_words() -> None:
    (check, other) = run_probes([Probe("odd", broken), Probe("even", lambda: ok("fine"))])
    assert (check.verdict, check.found) == ("fail", "could not be checked (KeyError)")
    assert other.verdict == "ok"


def test_told_to_a_person_and_to_a_program() -> None:
    checks = run_probes(
        [Probe("disk", lambda: ok("9 GB free")), Probe("port", lambda: fail("closed", "open it"))]
    )
    assert as_text(checks).splitlines() == [
        "ok    disk  9 GB free",
        "fail  port  closed",
        "            mend: open it",
        "1 ok, 0 to look at, 1 failed",
    ]
    rows = as_json(checks)
    assert (rows["format"], rows["ok"]) == (1, False)
    assert rows["checks"][0] == {  # type: ignore[index]
        "name": "disk",
        "verdict": "ok",
        "found": "9 GB free",
        "mend": "",
    }
    assert exit_code(checks[:1]) == 0
