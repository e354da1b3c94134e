"""What a source's labels mean: known answers of test cases, in the order of the classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from client.sources.source import Passed

SPLITS: Mapping[str, str] = {
    "": "pool",
    "pool": "pool",
    "train": "pool",
    "training": "pool",
    "test": "locked",
    "testing": "locked",
    "val": "",
    "validation": "",
}
"""A source's word for a split, and ours; "" is left out."""
UNUSED = "in the validation split, which a site does not use"
UNKNOWN = "in a split that is none of pool, train, val and test"
UNANSWERED = "a test case without a label that --classes knows"


@dataclass(frozen=True, slots=True)
class Labels:
    """How labels are read.

    Attributes:
        classes: names in label order; none where no label is to be read.
        multi_label: several of them may be in one label, separated by |.
    """

    classes: tuple[str, ...] = ()
    multi_label: bool = False

    def answer(self, label: Any) -> tuple[int, ...]:
        """0 and 1 per class, of a name, a number, several joined by |, or a list of 0 and 1.

        Returns: () where the label is none of these, or None.
        """
        if isinstance(label, list):
            right = len(label) == len(self.classes) and all(v in (0, 1) for v in label)
            return tuple(int(v) for v in label) if right and self._counts(sum(label)) else ()
        if label is None:
            return ()
        text = str(label).strip()
        words = [w.strip() for w in text.split("|")] if self.multi_label and text else [text]
        words = [] if self.multi_label and not text else words
        numbers = {str(i): i for i in range(len(self.classes))}
        numbers |= {name: i for i, name in enumerate(self.classes)}
        if not self.classes or any(word not in numbers for word in words):
            return ()
        chosen = {numbers[word] for word in words}
        return tuple(int(i in chosen) for i in range(len(self.classes)))

    def _counts(self, ones: int) -> bool:
        return self.multi_label or ones == 1

    def placed(self, word: str, label: Any, name: str) -> tuple[str, tuple[int, ...]] | Passed:
        """The split and the answer of a case, or why it is passed over."""
        split = SPLITS.get(word)
        if split is None:
            return Passed(UNKNOWN, name)
        if not split:
            return Passed(UNUSED)
        answer = self.answer(label) if split == "locked" else ()
        if split == "locked" and not answer:
            return Passed(UNANSWERED, name)
        return split, answer


NO_LABELS = Labels()


def numbered(rows: Sequence[Any], width: int) -> list[Any]:
    """Labels of an array as numbers or, where a row has several columns, as lists."""
    return [row if width > 1 else (row[0] if isinstance(row, list) else row) for row in rows]
