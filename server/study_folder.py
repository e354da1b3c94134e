"""A study's folder at the server: frozen study and weights, what was submitted, ledger, models."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from protocol.codec import CodecError, unpack
from protocol.files import replace_file
from protocol.records import Arrays, GlobalState
from protocol.study import Study, load

_SUBMISSION = "submission.json"


class FolderError(ValueError):
    """A study's folder that cannot be opened, in one sentence."""


class Submission(BaseModel):
    """What was submitted with the study.

    Attributes:
        sites: names of those that take part, in site order.
        server: the server's home.
        patience: seconds after which a site that does not answer a step counts as away.
        interval: seconds between two looks at how far the readers are.
        settle: seconds that sites which were away when a cycle closed have after the last cycle to
            come and give back what they did not spend.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    sites: tuple[str, ...] = Field(min_length=1)
    server: str
    patience: float = Field(3600.0, gt=0)
    interval: float = Field(5.0, gt=0)
    settle: float = Field(3600.0, ge=0)


@dataclass(frozen=True, slots=True)
class StudyFolder:
    """One study at the server.

    Attributes:
        folder: with `study.toml`, `weights.safetensors`, `submission.json`, `ledger.db`, `models/`.
    """

    folder: Path

    def write(self, study: bytes, weights: bytes, submission: Submission) -> None:
        """Put the three files there; the submission last, so that a folder with one is whole."""
        self.folder.mkdir(parents=True, exist_ok=True)
        replace_file(self.folder / "study.toml", study, sync=True)
        replace_file(self.folder / "weights.safetensors", weights, sync=True)
        text = submission.model_dump_json(indent=1)
        replace_file(self.folder / _SUBMISSION, text.encode(), sync=True)

    def study(self) -> Study:
        """The frozen study.

        Raises:
            StudyError: the file is refused.
        """
        return load(self.folder / "study.toml")

    def weights(self) -> Arrays:
        """The frozen first weights.

        Raises:
            FolderError: they cannot be read.
        """
        try:
            return unpack(GlobalState, (self.folder / "weights.safetensors").read_bytes()).arrays
        except (OSError, CodecError):
            raise FolderError(f"{self.folder}: the weights cannot be read") from None

    def submission(self) -> Submission:
        """What was submitted.

        Raises:
            FolderError: it cannot be read.
        """
        try:
            text = (self.folder / _SUBMISSION).read_text(encoding="utf-8")
            return Submission.model_validate_json(json.dumps(json.loads(text)))
        except (OSError, ValueError, ValidationError):
            raise FolderError(f"{self.folder}: {_SUBMISSION} cannot be read") from None
