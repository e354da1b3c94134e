"""A study that has no quorum: a person is told, until it goes on."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from server.flower.runs import tell_lost
from server.registry.alarm_shelf import AlarmShelf
from server.registry.registry import Registry
from server.registry.study_shelf import StudyRow, StudyShelf


def test_a_lost_quorum_is_told_until_the_study_goes_on(tmp_path: Path) -> None:
    with closing(Registry.open(tmp_path / "registry.db")) as registry:
        shelf, alarms = StudyShelf(registry.connection), AlarmShelf(registry.connection)
        for name in ("chest", "other"):
            shelf.add(StudyRow(f"{name}-id", name, name, "w", "Ada", ("north",)))
            words = f"cycle 0, train: 1 of 3 sites answered (north: {'x' * 200})"
            shelf.note_lost(f"{name}-id", words)
        tell_lost(alarms, shelf.all())
        (alarm,) = alarms.standing()
        assert (alarm.site, alarm.kind, len(alarm.words)) == ("", "quorum-lost", 300)
        assert alarm.words.startswith("study chest: cycle 0, train: 1 of 3 sites answered (north")
        shelf.note_lost("chest-id", "")
        tell_lost(alarms, shelf.all())
        assert [a.kind for a in alarms.standing()] == ["quorum-lost"]  # of the other
        shelf.move("other-id", "paused")  # nobody waits for it now
        tell_lost(alarms, shelf.all())
        assert alarms.standing() == []
