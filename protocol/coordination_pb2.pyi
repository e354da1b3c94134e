from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class FromSite(_message.Message):
    __slots__ = ("arrival", "heartbeat", "progress", "head", "standing")
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
    def __init__(self, arrival: _Optional[_Union[Arrival, _Mapping]] = ..., heartbeat: _Optional[_Union[Heartbeat, _Mapping]] = ..., progress: _Optional[_Union[Progress, _Mapping]] = ..., head: _Optional[_Union[Head, _Mapping]] = ..., standing: _Optional[_Union[Standing, _Mapping]] = ...) -> None: ...

class Arrival(_message.Message):
    __slots__ = ("protocol", "versions", "acknowledged", "standings", "head")
    class VersionsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
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
    def __init__(self, protocol: _Optional[int] = ..., versions: _Optional[_Mapping[str, str]] = ..., acknowledged: _Optional[int] = ..., standings: _Optional[_Iterable[_Union[Standing, _Mapping]]] = ..., head: _Optional[_Union[Head, _Mapping]] = ...) -> None: ...

class Heartbeat(_message.Message):
    __slots__ = ("acknowledged", "sent")
    ACKNOWLEDGED_FIELD_NUMBER: _ClassVar[int]
    SENT_FIELD_NUMBER: _ClassVar[int]
    acknowledged: int
    sent: float
    def __init__(self, acknowledged: _Optional[int] = ..., sent: _Optional[float] = ...) -> None: ...

class Progress(_message.Message):
    __slots__ = ("study", "cycle", "granted", "spent", "readings", "waiting", "minutes")
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
    def __init__(self, study: _Optional[str] = ..., cycle: _Optional[int] = ..., granted: _Optional[int] = ..., spent: _Optional[int] = ..., readings: _Optional[int] = ..., waiting: _Optional[int] = ..., minutes: _Optional[float] = ...) -> None: ...

class Standing(_message.Message):
    __slots__ = ("study", "state")
    STUDY_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    study: str
    state: str
    def __init__(self, study: _Optional[str] = ..., state: _Optional[str] = ...) -> None: ...

class Head(_message.Message):
    __slots__ = ("lines", "hash", "left")
    LINES_FIELD_NUMBER: _ClassVar[int]
    HASH_FIELD_NUMBER: _ClassVar[int]
    LEFT_FIELD_NUMBER: _ClassVar[int]
    lines: int
    hash: str
    left: int
    def __init__(self, lines: _Optional[int] = ..., hash: _Optional[str] = ..., left: _Optional[int] = ...) -> None: ...

class FromServer(_message.Message):
    __slots__ = ("sequence", "welcome", "heartbeat", "offer", "order", "countersigned", "goodbye")
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
    def __init__(self, sequence: _Optional[int] = ..., welcome: _Optional[_Union[Welcome, _Mapping]] = ..., heartbeat: _Optional[_Union[Heartbeat, _Mapping]] = ..., offer: _Optional[_Union[Offer, _Mapping]] = ..., order: _Optional[_Union[Order, _Mapping]] = ..., countersigned: _Optional[_Union[SignedHead, _Mapping]] = ..., goodbye: _Optional[_Union[Goodbye, _Mapping]] = ...) -> None: ...

class Welcome(_message.Message):
    __slots__ = ("protocol", "versions", "time", "heartbeat_seconds", "newest")
    class VersionsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
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
    def __init__(self, protocol: _Optional[int] = ..., versions: _Optional[_Mapping[str, str]] = ..., time: _Optional[float] = ..., heartbeat_seconds: _Optional[float] = ..., newest: _Optional[_Union[SignedHead, _Mapping]] = ...) -> None: ...

class Offer(_message.Message):
    __slots__ = ("study", "document", "weights", "asked_by", "sites", "parameters", "version")
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
    def __init__(self, study: _Optional[str] = ..., document: _Optional[str] = ..., weights: _Optional[str] = ..., asked_by: _Optional[str] = ..., sites: _Optional[int] = ..., parameters: _Optional[int] = ..., version: _Optional[str] = ...) -> None: ...

class Order(_message.Message):
    __slots__ = ("kind", "study")
    KIND_FIELD_NUMBER: _ClassVar[int]
    STUDY_FIELD_NUMBER: _ClassVar[int]
    kind: str
    study: str
    def __init__(self, kind: _Optional[str] = ..., study: _Optional[str] = ...) -> None: ...

class SignedHead(_message.Message):
    __slots__ = ("lines", "hash", "branch", "at", "signature")
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
    def __init__(self, lines: _Optional[int] = ..., hash: _Optional[str] = ..., branch: _Optional[int] = ..., at: _Optional[str] = ..., signature: _Optional[bytes] = ...) -> None: ...

class Goodbye(_message.Message):
    __slots__ = ("reason",)
    REASON_FIELD_NUMBER: _ClassVar[int]
    reason: str
    def __init__(self, reason: _Optional[str] = ...) -> None: ...

class NewestHeadRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Greeting(_message.Message):
    __slots__ = ("protocol", "versions", "time")
    class VersionsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    PROTOCOL_FIELD_NUMBER: _ClassVar[int]
    VERSIONS_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    protocol: int
    versions: _containers.ScalarMap[str, str]
    time: float
    def __init__(self, protocol: _Optional[int] = ..., versions: _Optional[_Mapping[str, str]] = ..., time: _Optional[float] = ...) -> None: ...
