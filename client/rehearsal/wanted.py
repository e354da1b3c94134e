"""What a rehearsal was asked for, and the study that this makes."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path

from protocol.study import Study, StudyError, load

PHANTOM = "the embedded phantom"


@dataclass(frozen=True, slots=True)
class Wanted:
    """A rehearsal's options.

    Attributes:
        sources: folders and files to import; none for the phantom.
        study: a study file; None for the one that is included.
        cycles: of the loop; None as the study's budget says.
        per_cycle: readings or minutes of a cycle; None as the study says.
        simulated: readers that answer by what the source knows, instead of people.
    """

    sources: tuple[Path, ...] = ()
    study: Path | None = None
    cycles: int | None = None
    per_cycle: int | None = None
    simulated: bool = False

    @property
    def knows_labels(self) -> bool:
        """Whether the sources' labels are of the study's classes."""
        return self.simulated or self.study is not None or not self.sources


def study_of(wanted: Wanted) -> Study:
    """The study: the file's, with the cycles and the budget asked for.

    Raises:
        StudyError: it is refused.
    """
    if wanted.study is not None:
        return _budgeted(wanted.study, wanted, [])
    overrides = [_ANY_CLASSES] if wanted.sources else []
    with as_file(files("client.rehearsal").joinpath("demo.toml")) as path:
        return _budgeted(path, wanted, overrides)


_ANY_CLASSES = (
    'task.classes=[{name="no finding", definition="Nothing that you would report."}, '
    '{name="finding", definition="Something that you would report."}]'
)


def _budgeted(path: Path, wanted: Wanted, overrides: list[str]) -> Study:
    study = load(path, overrides)
    if wanted.cycles is None and wanted.per_cycle is None:
        return study
    each = wanted.per_cycle or study.budget.per_cycle
    cycles = wanted.cycles or -(-study.budget.total // study.budget.per_cycle)
    if not 1 <= cycles * each < 2**31:
        raise StudyError(f"{cycles} cycles of {each}: accepted is a budget of 1 or more")
    budget = (f"total={cycles * each}", f"first={each}", f"per_cycle={each}")
    return load(path, [*overrides, *(f"budget.{one}" for one in budget)])
