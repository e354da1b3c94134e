"""The tables of a study file. Every key is described once, here; `study new` prints these words."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from protocol.sentences import refuse


def _portable(value: Any) -> Any:
    """The value, if a study file and JSON hold it alike: no dates, no infinity, no NaN."""
    if isinstance(value, Mapping):
        for inner in value.values():
            _portable(inner)
    elif isinstance(value, tuple | list):
        for inner in value:
            _portable(inner)
    elif not isinstance(value, str | int) and not (
        isinstance(value, float) and math.isfinite(value)
    ):
        raise ValueError("not portable")  # sentences.py says it in words
    return value


Share: TypeAlias = Annotated[float, Field(ge=0, le=1)]
Arguments: TypeAlias = Annotated[dict[str, Any], AfterValidator(_portable)]


class Section(BaseModel):
    """One table of the study file: frozen, strict about types, deaf to unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class ClassName(Section):
    """One class that readers may choose."""

    name: str = Field(min_length=1, max_length=60, description="shown on the reader's button")
    definition: str = Field(
        min_length=1, max_length=300, description="one line that the reader sees beside the image"
    )


class Task(Section):
    """What is asked about an image."""

    kind: Literal["single-label", "multi-label"] = Field(
        "single-label", description="exactly one class per case, or any number of classes"
    )
    image: tuple[int, int, int] = Field(
        (1, 28, 28), description="channels (1 or 3), height and width that the network sees"
    )
    cost: tuple[tuple[float, ...], ...] | None = Field(
        None,
        description="cost of answering column j when row i is true; sets the decision threshold "
        "and the expected cost. Without it every error costs 1. In a multi-label task 2 x 2, "
        "absent and present, for every class",
    )
    specificity: float = Field(
        0.9, gt=0, lt=1, description="sensitivity is reported at this specificity"
    )
    classes: tuple[ClassName, ...] = Field(
        min_length=1,
        max_length=40,  # a site's evaluation grows with their square
        description="in the order of the labels; in two classes the last is positive",
    )

    @property
    def multi_label(self) -> bool:
        """Whether a case may belong to several classes."""
        return self.kind == "multi-label"

    @property
    def names(self) -> tuple[str, ...]:
        """The class names, in label order."""
        return tuple(c.name for c in self.classes)

    @property
    def costs(self) -> tuple[tuple[float, ...], ...]:
        """The cost matrix, 0-1 loss where the study gives none."""
        if self.cost is not None:
            return self.cost
        n = 2 if self.multi_label else len(self.classes)
        return tuple(tuple(float(i != j) for j in range(n)) for i in range(n))

    @model_validator(mode="after")
    def _whole(self) -> Task:
        names = [c.name for c in self.classes]
        if twice := sorted({n for n in names if names.count(n) > 1}):
            raise refuse("task.classes", twice[0], "every class name once")
        if not self.multi_label and len(names) < 2:
            raise refuse("task.classes", names, "at least two classes in a single-label task")
        channels, height, width = self.image
        if channels not in (1, 3) or not 8 <= min(height, width) <= max(height, width) <= 4096:
            raise refuse("task.image", list(self.image), "[1 or 3, height, width of 8 to 4096]")
        n = 2 if self.multi_label else len(names)
        rows = self.costs
        if len(rows) != n or any(len(r) != n for r in rows):
            raise refuse("task.cost", [list(r) for r in rows], f"{n} rows of {n} numbers")
        if any(v < 0 for r in rows for v in r) or any(
            rows[i][i] >= rows[i][j] for i in range(n) for j in range(n) if i != j
        ):
            raise refuse(
                "task.cost",
                [list(r) for r in rows],
                "no negative cost, and errors dearer than truth",
            )
        return self


class Augmentation(Section):
    """Random changes of a training batch, drawn anew for every image; all 0 means none."""

    flip: Share = Field(0.0, description="probability of a left-right mirror image")
    rotate: float = Field(0.0, ge=0, le=180, description="largest rotation, degrees")
    shift: Share = Field(0.0, description="largest shift, share of the width")
    zoom: float = Field(0.0, ge=0, lt=1, description="largest change of size, share")
    brightness: Share = Field(0.0, description="largest change of brightness, share of full scale")
    contrast: float = Field(0.0, ge=0, lt=1, description="largest change of contrast, share")
    noise: Share = Field(0.0, description="largest standard deviation of added noise, full scale")


class Training(Section):
    """How every site trains between two averages."""

    rounds_per_cycle: int = Field(20, ge=1, description="federated rounds in every cycle")
    local_epochs: int = Field(2, ge=1, description="passes over a site's labels in a round")
    min_steps: int = Field(10, ge=1, description="at least so many optimizer steps in a round")
    max_steps: int = Field(60, ge=1, description="at most so many optimizer steps in a round")
    batch_size: int = Field(16, ge=1, description="cases in an optimizer step")
    optimizer: Literal["adam", "sgd"] = Field("adam", description="state starts anew each round")
    learning_rate: float = Field(3e-3, gt=0, description="of the first round")
    schedule: Literal["cosine", "constant"] = Field(
        "cosine", description="of the learning rate over a cycle's rounds"
    )
    momentum: float = Field(0.9, ge=0, lt=1, description="of sgd")
    weight_decay: float = Field(0.0, ge=0, description="decoupled for adam, L2 for sgd")
    loss: Literal["cross-entropy", "focal", "evidential"] = Field(
        "cross-entropy",
        description="binary cross-entropy per class in a multi-label task; there not evidential",
    )
    focal_gamma: float = Field(2.0, ge=0, description="of the focal loss")
    balancing: Literal["none", "weights", "sampling"] = Field(
        "none", description="against rare classes: weigh the loss, or draw rare classes more often"
    )
    start: Literal["scratch", "warm"] = Field(
        "scratch", description="each cycle starts from the frozen weights, or from the last model"
    )
    augmentation: Augmentation = Field(default_factory=Augmentation)

    @model_validator(mode="after")
    def _steps(self) -> Training:
        if self.min_steps > self.max_steps:
            raise refuse(
                "training.min_steps", self.min_steps, f"at most max_steps = {self.max_steps}"
            )
        return self


class Query(Section):
    """Which cases are asked for."""

    strategy: str = Field("ward", min_length=1, description="a name of the strategy table")
    arguments: Arguments = Field(default_factory=dict, description="of the strategy")
    cold_start: str = Field(
        "random", min_length=1, description="strategy of the first cycle, before any label"
    )
    cold_start_arguments: Arguments = Field(
        default_factory=dict, description="of the cold-start strategy"
    )
    cost_weighted: bool = Field(
        False, description="multiply a score-based strategy's score by the expected cost of error"
    )


class Budget(Section):
    """How many readings, or minutes, and who gets them."""

    unit: Literal["readings", "minutes"] = Field("readings", description="what is counted")
    total: int = Field(264, ge=1, description="over the whole study and all sites")
    first: int | None = Field(None, ge=1, description="of the first cycle; without it per_cycle")
    per_cycle: int = Field(48, ge=1, description="of each later cycle, over all sites")
    policy: str = Field("uniform", min_length=1, description="a name of the policy table")
    arguments: Arguments = Field(default_factory=dict, description="of the policy")
    floor: int = Field(1, ge=0, description="least grant per site and cycle, where it can use it")
    seconds: float = Field(
        30.0, gt=0, description="expected of a reading before a site has measured its own"
    )
    exploration: Share = Field(
        0.1, description="share of each grant that is drawn at random, for honest steering"
    )

    @model_validator(mode="after")
    def _fits(self) -> Budget:
        largest = max(self.per_cycle, self.first or 0)
        if self.total < largest:
            raise refuse("budget.total", self.total, f"at least one cycle's budget, {largest}")
        return self


class Audit(Section):
    """The honest measure: patients never trained on."""

    patients: float = Field(0.15, ge=0, lt=1, description="share of patients in the audit set")
    grant: float = Field(
        0.1, ge=0, lt=1, description="share of each grant spent on audit cases until all are read"
    )


class ReadingRule(Section):
    """How many physicians answer a case, and what becomes of their answers."""

    readers_per_case: int = Field(1, ge=1, le=9, description="answers wanted for each case")
    deadline_hours: float = Field(
        336.0,
        gt=0,
        le=1_000_000,
        description="after which a cycle closes with what has been read (none may end the study: "
        "leave room for weekends); a quarter of it for what slow sites leave, or for silent ones",
    )
    consensus: str = Field("majority", min_length=1, description="a name of the consensus table")
    arguments: Arguments = Field(default_factory=dict, description="of the consensus")
    second_share: Share = Field(
        0.0, description="share of the cases, drawn by chance, that one reader more answers"
    )
    repeats: float = Field(
        0.0,
        ge=0,
        lt=0.5,
        description="share of a reader's cases that come back to them unmarked, to see how "
        "consistent they are; each spends a reading and trains nothing",
    )
    practice: int = Field(
        0,
        ge=0,
        le=100,
        description="practice cases of the site that a reader answers, and is told the answer of, "
        "before the first real one",
    )
    show_ai: Literal["never", "after"] = Field(
        "never",
        description="after: readers may look at the model's opinion once their own is saved",
    )
    trains: Literal["blind", "after-ai"] = Field(
        "blind",
        description="the answer that trains where a reader changed their mind on seeing the "
        "model's opinion; audit cases keep the blind one",
    )

    @property
    def readings_per_case(self) -> float:
        """Readings that a case takes on average, if nobody is unsure and nobody disagrees."""
        return (self.readers_per_case + self.second_share) * (1 + self.repeats)

    @property
    def most_readers(self) -> int:
        """Readers that a site needs for what is wanted of every case."""
        return self.readers_per_case + (self.second_share > 0)

    @model_validator(mode="after")
    def _shown(self) -> ReadingRule:
        if self.trains == "after-ai" and self.show_ai == "never":
            raise refuse("reading.trains", self.trains, 'blind, or show_ai = "after"')
        return self


class Aggregation(Section):
    """How the server averages."""

    name: str = Field(
        "fedavg",
        min_length=1,
        description="multi-krum-history where one of five sites or more may be broken or "
        "dishonest (see docs/benchmarks-attacks.md); a name of the aggregator table",
    )
    arguments: Arguments = Field(default_factory=dict, description="of the aggregator")
    quorum: float = Field(1.0, gt=0, le=1, description="share of the sites that must answer a step")
    secure: bool = Field(
        False,
        description="the server sees the sum of the sites' updates, and no update of one site "
        "(SecAgg+), if it keeps to the protocol; asks for 3 sites or more, and refuses aggregators "
        "that compare updates",
    )


class Stopping(Section):
    """When the study advises to stop before its budget is spent."""

    rule: str = Field("stabilised", min_length=1, description="a name of the stopping table")
    arguments: Arguments = Field(default_factory=dict, description="of the rule")
    gain: Literal["never", "end", "cycle"] = Field(
        "never",
        description="after the last cycle, or after each but the first: hold the strategy against "
        "asking at random, by two more models on equally many labels; costs two trainings and one "
        "evaluation",
    )
