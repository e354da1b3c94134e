"""Practice before the first real case of a study: cases of the site whose answers are known.

What is answered here costs nothing and trains nothing, and no time is counted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from client.audit import people
from client.queue import ReadingRefused, check_answer
from client.repeats import Lots
from client.store.practice_shelf import PracticeCase, Tried
from client.store.store import SiteStore, now
from protocol.records import Reading
from protocol.study import Study


@dataclass(frozen=True, slots=True)
class Practice:
    """One reader's practice before a study.

    Attributes:
        done: what they answered, in that order.
        left: the cases that may follow, in the reader's own order.
        wanted: how many cases the study wants them to answer.
        begun: they have answered a real case, and practise no more.
    """

    done: tuple[Tried, ...]
    left: tuple[PracticeCase, ...]
    wanted: int
    begun: bool

    @classmethod
    def of(cls, store: SiteStore, study: Study, reader: str) -> Practice:
        """As far as a reader has come."""
        wanted, identity = study.reading.practice, study.identity
        if not wanted:
            return cls((), (), 0, begun=True)
        done, lots = store.practice.tried(identity, reader), Lots(store.repeats.secret())
        had = {tried.case for tried in done}
        left = [c for c in store.practice.every() if c.case not in had and fits(study, c.value)]
        left.sort(key=lambda c: lots.share("practice", identity, reader, c.case))
        begun = store.practice.has_read(identity, reader)
        return cls(tuple(done), tuple(left), wanted, begun)

    @property
    def waits(self) -> bool:
        """Whether a practice case comes before the next real one."""
        return not self.begun and bool(self.left) and len(self.done) < self.wanted

    @property
    def all(self) -> int:
        """How many cases it will have been: what the study wants, or what the site has."""
        return min(self.wanted, len(self.done) + len(self.left))

    def case(self, number: int) -> int | None:
        """The id of the case of that number, from 0; one after the case to answer is the last."""
        known = [t.case for t in self.done] + [c.case for c in self.left[:2]]
        return known[number] if number < min(len(known), self.all) else None


@dataclass(frozen=True, slots=True)
class Told:
    """What a reader is told once they have answered a practice case.

    Attributes:
        value: the right answer, (classes,).
        words: of whoever made the practice set; may be "".
    """

    tried: Tried
    value: tuple[int, ...]
    words: str

    @property
    def right(self) -> bool:
        """Whether the reader said so."""
        return self.tried.value == self.value


def fits(study: Study, value: Mapping[str, int]) -> bool:
    """Whether a practice case answers what a study asks: every class of it, by name."""
    asked = [value.get(name) for name in study.task.names]
    return None not in asked and (study.task.multi_label or asked.count(1) == 1)


def practise(store: SiteStore, study: Study, reader: str, number: int, said: Reading) -> Told:
    """Keep an answer to the practice case that is next, and say what is right.

    Sent again, it is the same answer; nothing is told before one is kept.

    Args:
        store: of the site.
        study: before which.
        reader: by account.
        number: of the case, from 0.
        said: the answer.
    Raises:
        ReadingRefused: it does not answer the task, or the case waits for no such answer.
    """
    check_answer(study, said)
    with store.transaction():
        practice = Practice.of(store, study, reader)
        if number < len(practice.done):
            tried = practice.done[number]
            if (tried.answer, tried.value) != (said.answer, said.value):
                raise ReadingRefused("this practice case was answered; accepted is the next one")
        elif number == len(practice.done) and practice.waits:
            tried = Tried(practice.left[0].case, said.answer, said.value)
            store.practice.keep(study.identity, reader, tried, now())
            identity, words = study.identity, "a practice case"
            people.seen(
                store, people.ANSWERED, reader, study=identity, case=tried.case, words=words
            )
        else:
            raise ReadingRefused("no practice case waits for that answer; accepted is the next one")
    known = {c.case: c for c in store.practice.every()}.get(tried.case)
    if known is None or not fits(study, known.value):
        raise ReadingRefused("the practice case was taken away; accepted is the next one")
    return Told(tried, tuple(known.value[n] for n in study.task.names), known.words)
