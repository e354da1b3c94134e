"""Cases from a MONAI datalist: JSON with lists `training`, `validation`, `test` of items.

An item is a path, or an object with `image` (a path), `label` (a class) and `patient_id`; paths are
relative to the JSON and stay inside its folder. Labels that are paths (masks) are not read.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from client.cases.folder import inside
from client.sources.labels import NO_LABELS, SPLITS, Labels
from client.sources.pictures import file_find, in_split
from client.sources.source import Find, Passed, SourceError

_PATIENT = ("patient_id", "patient", "subject_id", "subject")


@dataclass(frozen=True, slots=True)
class Datalist:
    """A datalist file.

    Attributes:
        path: of the JSON.
        labels: how its labels are read.
    """

    path: Path
    labels: Labels = NO_LABELS

    def finds(self) -> Iterator[Find | Passed]:
        """Every item in order.

        Raises:
            SourceError: the file is no datalist.
        """
        content = self._content()
        seen: set[str] = set()
        for word in (w for w in SPLITS if w and isinstance(content.get(w), list)):
            for item in content[word]:
                found = self._item(word, {"image": item} if isinstance(item, str) else item)
                if isinstance(found, Find) and found.name in seen:
                    found = Passed("the same image a second time", found.name)
                if isinstance(found, Find):
                    seen.add(found.name)
                yield found

    def _content(self) -> Mapping[str, Any]:
        try:
            content = json.loads(self.path.read_text(encoding="utf-8"))
        except OSError as error:
            raise SourceError(f"{self.path.name}: cannot be read ({error.strerror})") from None
        except ValueError:
            content = None
        lists = isinstance(content, dict) and any(isinstance(content.get(w), list) for w in SPLITS)
        if not lists:
            raise SourceError(
                f"{self.path.name}: no datalist; accepted is JSON with a list named training, "
                "validation or test"
            )
        found: Mapping[str, Any] = content
        return found

    def _item(self, word: str, item: Any) -> Find | Passed:
        image = item.get("image") if isinstance(item, dict) else None
        if not isinstance(image, str):
            return Passed("an item without one image")
        root = self.path.parent.resolve()
        file = inside(root, image)
        if file is None:
            return Passed("a path that leads out of the datalist's folder")
        placed = self.labels.placed(word, item.get("label"), image)
        if isinstance(placed, Passed):
            return placed
        patient = next((str(item[name]) for name in _PATIENT if item.get(name)), "")
        found = file_find(root, file, image, patient or image, named=bool(patient))
        return found if isinstance(found, Passed) else in_split(found, *placed)
