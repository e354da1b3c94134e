from collections.abc import Iterable as _Iterable
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar

from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from google.protobuf.internal import containers as _containers

DESCRIPTOR: _descriptor.FileDescriptor

class FromSite(_message.Message):
    __slots__ = ("arrival", "head", "heartbeat", "progress", "standing")
    ARRIVAL_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_FIELD_NUMBER: _ClassVar[int]
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    HEAD_FIELD_NUMBER: _ClassVar[int]
    STANDING_FIELD_NUMBER: _ClassVar[int]
    arrival: Arrival
    heartbeat: Heartbeat
    progress: Progress
    head: Head
    standing: Standing
    def __init__(
        self,
        arrival: Arrival | _Mapping | None = ...,
        heartbeat: Heartbeat | _Mapping | None = ...,
        progress: Progress | _Mapping | None = ...,
        head: Head | _Mapping | None = ...,
        standing: Standing | _Mapping | None = ...,
    ) -> None: ...

class Arrival(_message.Message):
    __slots__ = ("acknowledged", "head", "protocol", "standings", "versions")
    class VersionsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: str | None = ..., value: str | None = ...) -> None: ...

    PROTOCOL_FIELD_NUMBER: _ClassVar[int]
    VERSIONS_FIELD_NUMBER: _ClassVar[int]
    ACKNOWLEDGED_FIELD_NUMBER: _ClassVar[int]
    STANDINGS_FIELD_NUMBER: _ClassVar[int]
    HEAD_FIELD_NUMBER: _ClassVar[int]
    protocol: int
    versions: _containers.ScalarMap[str, str]
    acknowledged: int
    standings: _containers.RepeatedCompositeFieldContainer[Standing]
    head: Head
    def __init__(
        self,
        protocol: int | None = ...,
        versions: _Mapping[str, str] | None = ...,
        acknowledged: int | None = ...,
        standings: _Iterable[Standing | _Mapping] | None = ...,
        head: Head | _Mapping | None = ...,
    ) -> None: ...

class Heartbeat(_message.Message):
    __slots__ = ("acknowledged", "sent")
    ACKNOWLEDGED_FIELD_NUMBER: _ClassVar[int]
    SENT_FIELD_NUMBER: _ClassVar[int]
    acknowledged: int
    sent: float
    def __init__(self, acknowledged: int | None = ..., sent: float | None = ...) -> None: ...

class Progress(_message.Message):
    __slots__ = ("cycle", "granted", "minutes", "readings", "spent", "study", "waiting")
    STUDY_FIELD_NUMBER: _ClassVar[int]
    CYCLE_FIELD_NUMBER: _ClassVar[int]
    GRANTED_FIELD_NUMBER: _ClassVar[int]
    SPENT_FIELD_NUMBER: _ClassVar[int]
    READINGS_FIELD_NUMBER: _ClassVar[int]
    WAITING_FIELD_NUMBER: _ClassVar[int]
    MINUTES_FIELD_NUMBER: _ClassVar[int]
    study: str
    cycle: int
    granted: int
    spent: int
    readings: int
    waiting: int
    minutes: float
    def __init__(
        self,
        study: str | None = ...,
        cycle: int | None = ...,
        granted: int | None = ...,
        spent: int | None = ...,
        readings: int | None = ...,
        waiting: int | None = ...,
        minutes: float | None = ...,
    ) -> None: ...

class Standing(_message.Message):
    __slots__ = ("state", "study")
    STUDY_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    study: str
    state: str
    def __init__(self, study: str | None = ..., state: str | None = ...) -> None: ...

class Head(_message.Message):
    __slots__ = ("hash", "lines")
    LINES_FIELD_NUMBER: _ClassVar[int]
    HASH_FIELD_NUMBER: _ClassVar[int]
    lines: int
    hash: str
    def __init__(self, lines: int | None = ..., hash: str | None = ...) -> None: ...

class FromServer(_message.Message):
    __slots__ = ("countersigned", "goodbye", "heartbeat", "offer", "order", "sequence", "welcome")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    WELCOME_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_FIELD_NUMBER: _ClassVar[int]
    OFFER_FIELD_NUMBER: _ClassVar[int]
    ORDER_FIELD_NUMBER: _ClassVar[int]
    COUNTERSIGNED_FIELD_NUMBER: _ClassVar[int]
    GOODBYE_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    welcome: Welcome
    heartbeat: Heartbeat
    offer: Offer
    order: Order
    countersigned: SignedHead
    goodbye: Goodbye
    def __init__(
        self,
        sequence: int | None = ...,
        welcome: Welcome | _Mapping | None = ...,
        heartbeat: Heartbeat | _Mapping | None = ...,
        offer: Offer | _Mapping | None = ...,
        order: Order | _Mapping | None = ...,
        countersigned: SignedHead | _Mapping | None = ...,
        goodbye: Goodbye | _Mapping | None = ...,
    ) -> None: ...

class Welcome(_message.Message):
    __slots__ = ("heartbeat_seconds", "newest", "protocol", "time", "versions")
    class VersionsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: str | None = ..., value: str | None = ...) -> None: ...

    PROTOCOL_FIELD_NUMBER: _ClassVar[int]
    VERSIONS_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_SECONDS_FIELD_NUMBER: _ClassVar[int]
    NEWEST_FIELD_NUMBER: _ClassVar[int]
    protocol: int
    versions: _containers.ScalarMap[str, str]
    time: float
    heartbeat_seconds: float
    newest: SignedHead
    def __init__(
        self,
        protocol: int | None = ...,
        versions: _Mapping[str, str] | None = ...,
        time: float | None = ...,
        heartbeat_seconds: float | None = ...,
        newest: SignedHead | _Mapping | None = ...,
    ) -> None: ...

class Offer(_message.Message):
    __slots__ = ("asked_by", "document", "parameters", "sites", "study", "version", "weights")
    STUDY_FIELD_NUMBER: _ClassVar[int]
    DOCUMENT_FIELD_NUMBER: _ClassVar[int]
    WEIGHTS_FIELD_NUMBER: _ClassVar[int]
    ASKED_BY_FIELD_NUMBER: _ClassVar[int]
    SITES_FIELD_NUMBER: _ClassVar[int]
    PARAMETERS_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    study: str
    document: str
    weights: str
    asked_by: str
    sites: int
    parameters: int
    version: str
    def __init__(
        self,
        study: str | None = ...,
        document: str | None = ...,
        weights: str | None = ...,
        asked_by: str | None = ...,
        sites: int | None = ...,
        parameters: int | None = ...,
        version: str | None = ...,
    ) -> None: ...

class Order(_message.Message):
    __slots__ = ("kind", "study")
    KIND_FIELD_NUMBER: _ClassVar[int]
    STUDY_FIELD_NUMBER: _ClassVar[int]
    kind: str
    study: str
    def __init__(self, kind: str | None = ..., study: str | None = ...) -> None: ...

class SignedHead(_message.Message):
    __slots__ = ("at", "branch", "hash", "lines", "signature")
    LINES_FIELD_NUMBER: _ClassVar[int]
    HASH_FIELD_NUMBER: _ClassVar[int]
    BRANCH_FIELD_NUMBER: _ClassVar[int]
    AT_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    lines: int
    hash: str
    branch: int
    at: str
    signature: bytes
    def __init__(
        self,
        lines: int | None = ...,
        hash: str | None = ...,
        branch: int | None = ...,
        at: str | None = ...,
        signature: bytes | None = ...,
    ) -> None: ...

class Goodbye(_message.Message):
    __slots__ = ("reason",)
    REASON_FIELD_NUMBER: _ClassVar[int]
    reason: str
    def __init__(self, reason: str | None = ...) -> None: ...

class NewestHeadRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Greeting(_message.Message):
    __slots__ = ("protocol", "time", "versions")
    class VersionsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: str | None = ..., value: str | None = ...) -> None: ...

    PROTOCOL_FIELD_NUMBER: _ClassVar[int]
    VERSIONS_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    protocol: int
    versions: _containers.ScalarMap[str, str]
    time: float
    def __init__(
        self,
        protocol: int | None = ...,
        versions: _Mapping[str, str] | None = ...,
        time: float | None = ...,
    ) -> None: ...
