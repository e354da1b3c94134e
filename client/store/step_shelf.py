"""Studies, epochs and the memory of every step: a repeated step is answered, never done again."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass
from functools import lru_cache

from protocol.records import StepKey
from protocol.steps import Code
from protocol.study import Study, document, parse

_STOPPED = {
    "not approved": Code.NOT_APPROVED,
    "paused": Code.PAUSED,
    "withdrawn": Code.WITHDRAWN,
}


class StepRefused(Exception):
    """A step that is not done; only its code leaves the site."""

    def __init__(self, code: Code, detail: str) -> None:
        super().__init__(detail)
        self.code = code


@dataclass(frozen=True, slots=True)
class StepShelf:
    """Reads and writes studies and step memos."""

    connection: sqlite3.Connection

    def approve(self, study: Study, weights: str) -> None:
        """Let a study run here, by its identity and the hash of its first weights.

        Raises:
            ValueError: it was approved with other first weights.
        """
        self.connection.execute(
            "INSERT OR IGNORE INTO studies (identity, document, weights) VALUES (?, ?, ?)",
            (study.identity, json.dumps(document(study)), weights),
        )
        if (known := self.weights(study.identity)) != weights:
            raise ValueError(
                f"first weights {weights[:12]} for a study that was approved with {known[:12]}; "
                "accepted are those"
            )

    def study(self, identity: str) -> Study:
        """The approved study of that identity.

        Raises:
            StepRefused: nobody approved it here, or it is paused or withdrawn.
        """
        row = self.connection.execute(
            "SELECT document, standing FROM studies WHERE identity = ?", (identity,)
        ).fetchone()
        standing = str(row[1]) if row else "not approved"
        if standing in _STOPPED:
            raise StepRefused(_STOPPED[standing], f"study {identity[:12]} is {standing} here")
        return _study(str(row[0]))

    def approved(self) -> list[str]:
        """Identities of the studies that stand approved here: neither paused nor withdrawn."""
        rows = self.connection.execute(
            "SELECT identity FROM studies WHERE standing = 'approved' ORDER BY identity"
        )
        return [str(row[0]) for row in rows]

    def every(self) -> list[Study]:
        """The studies that were ever approved here, also paused and withdrawn ones."""
        rows = self.connection.execute("SELECT document FROM studies ORDER BY identity")
        return [_study(str(row[0])) for row in rows]

    def weights(self, identity: str) -> str:
        """The hash of an approved study's first weights."""
        row = self.connection.execute(
            "SELECT weights FROM studies WHERE identity = ?", (identity,)
        ).fetchone()
        return str(row[0]) if row else ""

    def raise_epoch(self, identity: str, epoch: int) -> None:
        """Remember the newest start of the ServerApp.

        Raises:
            StepRefused: a newer one has already spoken.
        """
        row = self.connection.execute(
            "SELECT epoch FROM studies WHERE identity = ?", (identity,)
        ).fetchone()
        if row is not None and epoch < int(row[0]):
            raise StepRefused(Code.LOWER_EPOCH, f"epoch {epoch} is lower than {row[0]}")
        if row is not None and epoch > int(row[0]):
            self.connection.execute(
                "UPDATE studies SET epoch = ? WHERE identity = ?", (epoch, identity)
            )

    def recall(self, key: StepKey, payload: str) -> bytes | None:
        """The packed reply of a step done before with the same payload, None if it is new.

        Raises:
            StepRefused: the same key came with another payload, or its reply is no longer kept.
        """
        row = self.connection.execute(
            "SELECT payload, reply FROM steps WHERE study = ? AND cycle = ? AND step = ? "
            "AND round = ? AND sequence = ?",
            (key.study, key.cycle, key.step, key.round, key.sequence),
        ).fetchone()
        if row is None:
            return None
        if row[0] != payload:
            raise StepRefused(Code.CONFLICT, f"{key.step} came again with another payload")
        if row[1] is None:
            raise StepRefused(Code.FORGOTTEN, f"{key.step} was followed by later steps")
        return bytes(row[1])

    def remember(self, key: StepKey, payload: str, reply: bytes, at: str) -> None:
        """Keep a step's reply; bulky replies of earlier steps of its kind are let go.

        The server commits a step before it begins the next, so only the newest can be asked again.
        """
        self.connection.execute(
            "UPDATE steps SET reply = NULL WHERE study = ? AND step = ? AND reply IS NOT NULL",
            (key.study, key.step),
        )
        row = self.connection.execute(
            "INSERT INTO steps VALUES (?, ?, ?, ?, ?, ?, zeroblob(?), ?)",
            (key.study, key.cycle, key.step, key.round, key.sequence, payload, len(reply), at),
        ).lastrowid
        # Not bound to the statement, which would keep a copy for as long as the database is open.
        with self.connection.blobopen("steps", "reply", row or 0) as blob:
            blob.write(reply)


@lru_cache(maxsize=8)
def _study(text: str) -> Study:
    """A stored study, checked once for all its steps and, in a simulation, for all sites."""
    return parse(json.loads(text))
