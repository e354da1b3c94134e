"""The global model after every round, as safetensors files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from protocol.codec import pack, unpack
from protocol.files import replace_file
from protocol.records import GlobalState


@dataclass(frozen=True, slots=True)
class ModelShelf:
    """Model files in one folder.

    Attributes:
        folder: where; made on the first save.
        durable: a file survives a power cut once it is saved.
        keep_rounds: keep every round's file; else, of a finished cycle, only its last one.
    """

    folder: Path
    durable: bool = True
    keep_rounds: bool = False

    def save(self, cycle: int, state: GlobalState, sequence: int = 0) -> str:
        """The name of the file that now holds this state, whole."""
        self.folder.mkdir(parents=True, exist_ok=True)
        name = self.name(cycle, state.round, sequence)
        replace_file(self.folder / name, pack(state), sync=self.durable)
        return name

    def load(self, name: str) -> GlobalState:
        """The state that a file holds."""
        return unpack(GlobalState, (self.folder / name).read_bytes())

    def prune(self, cycle: int, last: int, sequence: int = 0) -> None:
        """Let go of a finished cycle's rounds before the last, unless every round is kept.

        Of models that are only compared the last ones go, too.
        """
        if not self.keep_rounds:
            for round_ in range(1, last + (sequence > 0)):
                (self.folder / self.name(cycle, round_, sequence)).unlink(missing_ok=True)

    @staticmethod
    def name(cycle: int, round_: int, sequence: int = 0) -> str:
        """The file name of a cycle's state after that many rounds."""
        which = f"-compared-{sequence}" if sequence else ""
        return f"cycle-{cycle:03d}{which}-round-{round_:03d}.safetensors"
