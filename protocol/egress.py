"""The gate: every record and message that a site sends is checked here before it leaves.

Pure: it says what may leave and how large it is, or raises; `client/audit/gate.py` writes the line.
The rules are one typed table (`egress_table.py`), which also makes the words for people. Flower's
own heartbeats and envelopes do not pass here; they hold ids, times and sizes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from google.protobuf.message import Message

from protocol.codec import CodecError, digest, encode
from protocol.coordination_pb2 import DESCRIPTOR
from protocol.egress_fields import KeptBack, Taken, spoken
from protocol.egress_parts import ARRAY_BYTES
from protocol.egress_table import COORDINATION, REFUSAL, TITLES, Asking, Line, model_plane
from protocol.secagg import KEYS_BYTES, MASKED, MASKED_BYTES, MASKED_FIELDS
from protocol.steps import Refusal

if TYPE_CHECKING:
    from protocol.study import Study

__all__ = [
    "Asking",
    "KeptBack",
    "Released",
    "Row",
    "admitted",
    "cycle_cap",
    "described",
    "release",
    "release_document",
    "release_message",
    "release_refusal",
]

_REPEATS = 10
"""How often a cycle's records may leave before its cap is reached: servers die and ask again."""

_OUTER = "FromSite"


@dataclass(frozen=True, slots=True)
class Released:
    """A record that may leave.

    Attributes:
        kind: its name.
        size: its bytes, without the envelope of the transport.
        digest: SHA-256 of it, hex.
    """

    kind: str
    size: int
    digest: str


@dataclass(frozen=True, slots=True)
class Row:
    """One record as a person reads it before approving a study.

    Attributes:
        plane: "model" or "coordination".
        record: its name.
        title: what it is.
        fields: name and what it may hold.
        largest: bytes, at most.
        often: how often it leaves.
    """

    plane: str
    record: str
    title: str
    fields: Sequence[tuple[str, str]]
    largest: int
    often: str


def release(record: object, asking: Asking) -> Released:
    """Let a record of the model plane leave.

    Args:
        record: as it will be sent.
        asking: what it answers; an update must have exactly the arrays that were asked with.
    Raises:
        KeptBack: it is not in the table, or a field holds anything that its rule does not let by.
    """
    kind = type(record).__name__
    try:
        document, arrays = encode(record)
    except CodecError:
        raise KeptBack("a record that cannot be encoded") from None
    return release_document(kind, document, arrays, asking)


def admitted(record: object, asking: Asking) -> bool:
    """Whether a site's record is one that its gate would let leave; the server takes no other."""
    line = model_plane(asking).get(type(record).__name__)
    if line is None:
        return False
    try:
        _check(*encode(record), line, type(record).__name__)
    except (CodecError, KeptBack):
        return False
    return True


def release_document(
    kind: str, document: Mapping[str, Any], arrays: Taken, asking: Asking
) -> Released:
    """As `release`, of a record that is encoded already."""
    line = model_plane(asking).get(kind)
    if line is None:
        raise KeptBack("a record of an unknown kind")
    return _checked(kind, document, arrays, line)


def release_refusal(refusal: Refusal) -> Released:
    """Let a refusal leave: a code, which every site may say of every study.

    Raises:
        KeptBack: the code is not one of ours.
    """
    document, arrays = encode(refusal)
    return _checked("Refusal", document, arrays, REFUSAL)


def release_message(message: Message) -> Released:
    """Let a message of the coordination plane leave.

    Raises:
        KeptBack: as `release`; fields that our stubs do not know are refused, too.
    """
    kind = message.DESCRIPTOR.name
    if message.DESCRIPTOR.file.name != DESCRIPTOR.name:
        raise KeptBack("a message of an unknown kind")
    known = type(message)()
    known.CopyFrom(message)
    known.DiscardUnknownFields()
    block = message.SerializeToString(deterministic=True)
    if known.SerializeToString(deterministic=True) != block:
        raise KeptBack(f"{kind}: a field that is unknown here")
    inner = message
    if kind == _OUTER:
        said = message.WhichOneof("said")
        if said is None:
            raise KeptBack(f"{kind}: nothing is said")
        inner = getattr(message, said)
        kind = inner.DESCRIPTOR.name
    line = COORDINATION.get(kind)
    if line is None:
        raise KeptBack("a message of an unknown kind")
    list(line.rule.check(_plain(inner), {}, kind))
    if len(block) > line.rule.largest:
        raise KeptBack(f"{kind}: more than {line.rule.largest} bytes")
    return Released(kind, len(block), hashlib.sha256(block).hexdigest())


def cycle_cap(asking: Asking, kind: str) -> int:
    """Bytes of one kind of record that may leave in one cycle, repeated replies included.

    By kind, since only a request with arrays says how large an update is.
    """
    line = model_plane(asking)[kind]
    return _REPEATS * line.times * line.rule.largest


def described(study: Study, parameters: int, site: str = "x" * 41) -> Sequence[Row]:
    """Everything that may leave for this study, in words.

    Args:
        study: that is to be approved.
        parameters: numbers in its model.
        site: the site's name.
    """
    model = model_plane(Asking(site, study, parameters=parameters))
    rows = [_row("model", kind, line) for kind, line in model.items()]
    if study.aggregation.secure:
        rows = [part for row in rows for part in _under_mask(row, study, parameters)]
    return [*rows, *(_row("coordination", kind, line) for kind, line in COORDINATION.items())]


def _checked(kind: str, document: Mapping[str, Any], arrays: Taken, line: Line) -> Released:
    text, size = _check(document, arrays, line, kind)
    return Released(kind, size, digest(arrays, kind, text))


def _check(document: Mapping[str, Any], arrays: Taken, line: Line, kind: str) -> tuple[str, int]:
    text = json.dumps(document, sort_keys=True)  # the same digest when it is sent again
    size = len(text) + sum(len(n) + ARRAY_BYTES + a.nbytes for n, a in arrays.items())
    if size > line.rule.largest:  # before anything is looked at number by number
        raise KeptBack(f"{kind}: more than {line.rule.largest} bytes")
    belong = set(line.rule.check(document, arrays, kind))
    if belong != arrays.keys():
        raise KeptBack(f"{kind}: an array that belongs to no field")
    return text, size


def _row(plane: str, kind: str, line: Line) -> Row:
    fields = [(spoken(name), rule.words) for name, rule in line.rule.fields.items()]
    return Row(plane, kind, line.title, fields, line.rule.largest, line.often)


def _under_mask(row: Row, study: Study, parameters: int) -> list[Row]:
    """The row; the trained model's says that it is masked, and has the masks' own below it."""
    if row.record != "SiteUpdate":
        return [row]
    largest = MASKED_BYTES * (parameters + 2) + KEYS_BYTES
    often = f"{4 * study.training.rounds_per_cycle} times a cycle, four in each round"
    return [
        replace(row, title=f"{row.title}, under a mask and never bare"),
        Row("model", MASKED, TITLES[MASKED], MASKED_FIELDS, largest, often),
    ]


def _plain(message: Message) -> dict[str, Any]:
    """A message as plain values, every field of ours in it; a part that is not set is None."""
    content: dict[str, Any] = {}
    for field in message.DESCRIPTOR.fields:
        value = getattr(message, field.name)
        if field.message_type is None:
            content[field.name] = value
        elif field.message_type.GetOptions().map_entry:
            content[field.name] = dict(value)
        elif field.is_repeated:
            content[field.name] = [_plain(item) for item in value]
        else:
            content[field.name] = _plain(value) if message.HasField(field.name) else None
    return content
