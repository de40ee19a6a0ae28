import datetime

from google.protobuf import any_pb2 as _any_pb2
from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class RedactionView(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    REDACTION_VIEW_UNSPECIFIED: _ClassVar[RedactionView]
    REDACTION_VIEW_REDACTED: _ClassVar[RedactionView]
    REDACTION_VIEW_ORIGINAL: _ClassVar[RedactionView]

class PutOutcome(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PUT_OUTCOME_UNSPECIFIED: _ClassVar[PutOutcome]
    PUT_OUTCOME_STORED: _ClassVar[PutOutcome]
    PUT_OUTCOME_FENCED: _ClassVar[PutOutcome]
    PUT_OUTCOME_TOO_OLD: _ClassVar[PutOutcome]
    PUT_OUTCOME_WRONG_EPOCH: _ClassVar[PutOutcome]
    PUT_OUTCOME_UNVERIFIED: _ClassVar[PutOutcome]

class SetOutcome(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SET_OUTCOME_UNSPECIFIED: _ClassVar[SetOutcome]
    SET_OUTCOME_APPLIED: _ClassVar[SetOutcome]
    SET_OUTCOME_DROPPED: _ClassVar[SetOutcome]
    SET_OUTCOME_ABSENT: _ClassVar[SetOutcome]

class ResetReason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    RESET_REASON_UNSPECIFIED: _ClassVar[ResetReason]
    RESET_REASON_WRONG_EPOCH: _ClassVar[ResetReason]
    RESET_REASON_TOO_OLD: _ClassVar[ResetReason]
REDACTION_VIEW_UNSPECIFIED: RedactionView
REDACTION_VIEW_REDACTED: RedactionView
REDACTION_VIEW_ORIGINAL: RedactionView
PUT_OUTCOME_UNSPECIFIED: PutOutcome
PUT_OUTCOME_STORED: PutOutcome
PUT_OUTCOME_FENCED: PutOutcome
PUT_OUTCOME_TOO_OLD: PutOutcome
PUT_OUTCOME_WRONG_EPOCH: PutOutcome
PUT_OUTCOME_UNVERIFIED: PutOutcome
SET_OUTCOME_UNSPECIFIED: SetOutcome
SET_OUTCOME_APPLIED: SetOutcome
SET_OUTCOME_DROPPED: SetOutcome
SET_OUTCOME_ABSENT: SetOutcome
RESET_REASON_UNSPECIFIED: ResetReason
RESET_REASON_WRONG_EPOCH: ResetReason
RESET_REASON_TOO_OLD: ResetReason

class Position(_message.Message):
    __slots__ = ("epoch", "sequence")
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    epoch: bytes
    sequence: int
    def __init__(self, epoch: _Optional[bytes] = ..., sequence: _Optional[int] = ...) -> None: ...

class CachedEvent(_message.Message):
    __slots__ = ("event_id", "room_id", "room_version", "body", "rejected", "rejected_reason", "redaction", "internal_metadata")
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    ROOM_ID_FIELD_NUMBER: _ClassVar[int]
    ROOM_VERSION_FIELD_NUMBER: _ClassVar[int]
    BODY_FIELD_NUMBER: _ClassVar[int]
    REJECTED_FIELD_NUMBER: _ClassVar[int]
    REJECTED_REASON_FIELD_NUMBER: _ClassVar[int]
    REDACTION_FIELD_NUMBER: _ClassVar[int]
    INTERNAL_METADATA_FIELD_NUMBER: _ClassVar[int]
    event_id: str
    room_id: str
    room_version: str
    body: bytes
    rejected: bool
    rejected_reason: str
    redaction: Redaction
    internal_metadata: bytes
    def __init__(self, event_id: _Optional[str] = ..., room_id: _Optional[str] = ..., room_version: _Optional[str] = ..., body: _Optional[bytes] = ..., rejected: _Optional[bool] = ..., rejected_reason: _Optional[str] = ..., redaction: _Optional[_Union[Redaction, _Mapping]] = ..., internal_metadata: _Optional[bytes] = ...) -> None: ...

class Redaction(_message.Message):
    __slots__ = ("redacted_by", "redacted_body")
    REDACTED_BY_FIELD_NUMBER: _ClassVar[int]
    REDACTED_BODY_FIELD_NUMBER: _ClassVar[int]
    redacted_by: str
    redacted_body: bytes
    def __init__(self, redacted_by: _Optional[str] = ..., redacted_body: _Optional[bytes] = ...) -> None: ...

class GetEventsRequest(_message.Message):
    __slots__ = ("homeserver", "event_ids", "redaction_view", "min_position")
    HOMESERVER_FIELD_NUMBER: _ClassVar[int]
    EVENT_IDS_FIELD_NUMBER: _ClassVar[int]
    REDACTION_VIEW_FIELD_NUMBER: _ClassVar[int]
    MIN_POSITION_FIELD_NUMBER: _ClassVar[int]
    homeserver: str
    event_ids: _containers.RepeatedScalarFieldContainer[str]
    redaction_view: RedactionView
    min_position: Position
    def __init__(self, homeserver: _Optional[str] = ..., event_ids: _Optional[_Iterable[str]] = ..., redaction_view: _Optional[_Union[RedactionView, str]] = ..., min_position: _Optional[_Union[Position, _Mapping]] = ...) -> None: ...

class GetEventsResponse(_message.Message):
    __slots__ = ("events", "missing_event_ids", "truncated_event_ids", "position")
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    MISSING_EVENT_IDS_FIELD_NUMBER: _ClassVar[int]
    TRUNCATED_EVENT_IDS_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    events: _containers.RepeatedCompositeFieldContainer[CachedEvent]
    missing_event_ids: _containers.RepeatedScalarFieldContainer[str]
    truncated_event_ids: _containers.RepeatedScalarFieldContainer[str]
    position: Position
    def __init__(self, events: _Optional[_Iterable[_Union[CachedEvent, _Mapping]]] = ..., missing_event_ids: _Optional[_Iterable[str]] = ..., truncated_event_ids: _Optional[_Iterable[str]] = ..., position: _Optional[_Union[Position, _Mapping]] = ...) -> None: ...

class GetEventsStreamRequest(_message.Message):
    __slots__ = ("request_id", "request")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    request_id: int
    request: GetEventsRequest
    def __init__(self, request_id: _Optional[int] = ..., request: _Optional[_Union[GetEventsRequest, _Mapping]] = ...) -> None: ...

class GetEventsStreamResponse(_message.Message):
    __slots__ = ("request_id", "response", "failure")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    RESPONSE_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    request_id: int
    response: GetEventsResponse
    failure: RequestFailure
    def __init__(self, request_id: _Optional[int] = ..., response: _Optional[_Union[GetEventsResponse, _Mapping]] = ..., failure: _Optional[_Union[RequestFailure, _Mapping]] = ...) -> None: ...

class RequestFailure(_message.Message):
    __slots__ = ("code", "message", "details")
    CODE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    DETAILS_FIELD_NUMBER: _ClassVar[int]
    code: int
    message: str
    details: _containers.RepeatedCompositeFieldContainer[_any_pb2.Any]
    def __init__(self, code: _Optional[int] = ..., message: _Optional[str] = ..., details: _Optional[_Iterable[_Union[_any_pb2.Any, _Mapping]]] = ...) -> None: ...

class PutEventRequest(_message.Message):
    __slots__ = ("homeserver", "event", "as_of")
    HOMESERVER_FIELD_NUMBER: _ClassVar[int]
    EVENT_FIELD_NUMBER: _ClassVar[int]
    AS_OF_FIELD_NUMBER: _ClassVar[int]
    homeserver: str
    event: CachedEvent
    as_of: Position
    def __init__(self, homeserver: _Optional[str] = ..., event: _Optional[_Union[CachedEvent, _Mapping]] = ..., as_of: _Optional[_Union[Position, _Mapping]] = ...) -> None: ...

class PutEventResponse(_message.Message):
    __slots__ = ("outcome", "position")
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    outcome: PutOutcome
    position: Position
    def __init__(self, outcome: _Optional[_Union[PutOutcome, str]] = ..., position: _Optional[_Union[Position, _Mapping]] = ...) -> None: ...

class PutEventsRequest(_message.Message):
    __slots__ = ("homeserver", "events", "as_of")
    HOMESERVER_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    AS_OF_FIELD_NUMBER: _ClassVar[int]
    homeserver: str
    events: _containers.RepeatedCompositeFieldContainer[CachedEvent]
    as_of: Position
    def __init__(self, homeserver: _Optional[str] = ..., events: _Optional[_Iterable[_Union[CachedEvent, _Mapping]]] = ..., as_of: _Optional[_Union[Position, _Mapping]] = ...) -> None: ...

class PutEventsResponse(_message.Message):
    __slots__ = ("outcomes", "position")
    OUTCOMES_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    outcomes: _containers.RepeatedScalarFieldContainer[PutOutcome]
    position: Position
    def __init__(self, outcomes: _Optional[_Iterable[_Union[PutOutcome, str]]] = ..., position: _Optional[_Union[Position, _Mapping]] = ...) -> None: ...

class SetRedactionRequest(_message.Message):
    __slots__ = ("homeserver", "room_id", "event_id", "redaction", "as_of")
    HOMESERVER_FIELD_NUMBER: _ClassVar[int]
    ROOM_ID_FIELD_NUMBER: _ClassVar[int]
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    REDACTION_FIELD_NUMBER: _ClassVar[int]
    AS_OF_FIELD_NUMBER: _ClassVar[int]
    homeserver: str
    room_id: str
    event_id: str
    redaction: Redaction
    as_of: Position
    def __init__(self, homeserver: _Optional[str] = ..., room_id: _Optional[str] = ..., event_id: _Optional[str] = ..., redaction: _Optional[_Union[Redaction, _Mapping]] = ..., as_of: _Optional[_Union[Position, _Mapping]] = ...) -> None: ...

class SetRedactionResponse(_message.Message):
    __slots__ = ("outcome", "position")
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    outcome: SetOutcome
    position: Position
    def __init__(self, outcome: _Optional[_Union[SetOutcome, str]] = ..., position: _Optional[_Union[Position, _Mapping]] = ...) -> None: ...

class SetRejectedRequest(_message.Message):
    __slots__ = ("homeserver", "room_id", "event_id", "rejected", "rejected_reason", "as_of")
    HOMESERVER_FIELD_NUMBER: _ClassVar[int]
    ROOM_ID_FIELD_NUMBER: _ClassVar[int]
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    REJECTED_FIELD_NUMBER: _ClassVar[int]
    REJECTED_REASON_FIELD_NUMBER: _ClassVar[int]
    AS_OF_FIELD_NUMBER: _ClassVar[int]
    homeserver: str
    room_id: str
    event_id: str
    rejected: bool
    rejected_reason: str
    as_of: Position
    def __init__(self, homeserver: _Optional[str] = ..., room_id: _Optional[str] = ..., event_id: _Optional[str] = ..., rejected: _Optional[bool] = ..., rejected_reason: _Optional[str] = ..., as_of: _Optional[_Union[Position, _Mapping]] = ...) -> None: ...

class SetRejectedResponse(_message.Message):
    __slots__ = ("outcome", "position")
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    outcome: SetOutcome
    position: Position
    def __init__(self, outcome: _Optional[_Union[SetOutcome, str]] = ..., position: _Optional[_Union[Position, _Mapping]] = ...) -> None: ...

class InvalidateEventsRequest(_message.Message):
    __slots__ = ("homeserver", "room_id", "event_ids")
    HOMESERVER_FIELD_NUMBER: _ClassVar[int]
    ROOM_ID_FIELD_NUMBER: _ClassVar[int]
    EVENT_IDS_FIELD_NUMBER: _ClassVar[int]
    homeserver: str
    room_id: str
    event_ids: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, homeserver: _Optional[str] = ..., room_id: _Optional[str] = ..., event_ids: _Optional[_Iterable[str]] = ...) -> None: ...

class InvalidateEventsResponse(_message.Message):
    __slots__ = ("position",)
    POSITION_FIELD_NUMBER: _ClassVar[int]
    position: Position
    def __init__(self, position: _Optional[_Union[Position, _Mapping]] = ...) -> None: ...

class PurgeRoomRequest(_message.Message):
    __slots__ = ("homeserver", "room_id")
    HOMESERVER_FIELD_NUMBER: _ClassVar[int]
    ROOM_ID_FIELD_NUMBER: _ClassVar[int]
    homeserver: str
    room_id: str
    def __init__(self, homeserver: _Optional[str] = ..., room_id: _Optional[str] = ...) -> None: ...

class PurgeRoomResponse(_message.Message):
    __slots__ = ("position",)
    POSITION_FIELD_NUMBER: _ClassVar[int]
    position: Position
    def __init__(self, position: _Optional[_Union[Position, _Mapping]] = ...) -> None: ...

class PurgeHomeserverRequest(_message.Message):
    __slots__ = ("homeserver", "new_epoch")
    HOMESERVER_FIELD_NUMBER: _ClassVar[int]
    NEW_EPOCH_FIELD_NUMBER: _ClassVar[int]
    homeserver: str
    new_epoch: bool
    def __init__(self, homeserver: _Optional[str] = ..., new_epoch: _Optional[bool] = ...) -> None: ...

class PurgeHomeserverResponse(_message.Message):
    __slots__ = ("position",)
    POSITION_FIELD_NUMBER: _ClassVar[int]
    position: Position
    def __init__(self, position: _Optional[_Union[Position, _Mapping]] = ...) -> None: ...

class SubscribeRequest(_message.Message):
    __slots__ = ("homeserver", "resume_after", "subscriber")
    HOMESERVER_FIELD_NUMBER: _ClassVar[int]
    RESUME_AFTER_FIELD_NUMBER: _ClassVar[int]
    SUBSCRIBER_FIELD_NUMBER: _ClassVar[int]
    homeserver: str
    resume_after: Position
    subscriber: str
    def __init__(self, homeserver: _Optional[str] = ..., resume_after: _Optional[_Union[Position, _Mapping]] = ..., subscriber: _Optional[str] = ...) -> None: ...

class SubscribeResponse(_message.Message):
    __slots__ = ("ready", "reset", "batch", "progress", "going_away")
    READY_FIELD_NUMBER: _ClassVar[int]
    RESET_FIELD_NUMBER: _ClassVar[int]
    BATCH_FIELD_NUMBER: _ClassVar[int]
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    GOING_AWAY_FIELD_NUMBER: _ClassVar[int]
    ready: Ready
    reset: Reset
    batch: Batch
    progress: Progress
    going_away: GoingAway
    def __init__(self, ready: _Optional[_Union[Ready, _Mapping]] = ..., reset: _Optional[_Union[Reset, _Mapping]] = ..., batch: _Optional[_Union[Batch, _Mapping]] = ..., progress: _Optional[_Union[Progress, _Mapping]] = ..., going_away: _Optional[_Union[GoingAway, _Mapping]] = ...) -> None: ...

class Ready(_message.Message):
    __slots__ = ("position", "resumed", "progress_interval", "silence_limit")
    POSITION_FIELD_NUMBER: _ClassVar[int]
    RESUMED_FIELD_NUMBER: _ClassVar[int]
    PROGRESS_INTERVAL_FIELD_NUMBER: _ClassVar[int]
    SILENCE_LIMIT_FIELD_NUMBER: _ClassVar[int]
    position: Position
    resumed: bool
    progress_interval: _duration_pb2.Duration
    silence_limit: _duration_pb2.Duration
    def __init__(self, position: _Optional[_Union[Position, _Mapping]] = ..., resumed: _Optional[bool] = ..., progress_interval: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., silence_limit: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class Reset(_message.Message):
    __slots__ = ("position", "reason", "progress_interval", "silence_limit")
    POSITION_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    PROGRESS_INTERVAL_FIELD_NUMBER: _ClassVar[int]
    SILENCE_LIMIT_FIELD_NUMBER: _ClassVar[int]
    position: Position
    reason: ResetReason
    progress_interval: _duration_pb2.Duration
    silence_limit: _duration_pb2.Duration
    def __init__(self, position: _Optional[_Union[Position, _Mapping]] = ..., reason: _Optional[_Union[ResetReason, str]] = ..., progress_interval: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., silence_limit: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class Batch(_message.Message):
    __slots__ = ("from_exclusive", "to_inclusive", "notices")
    FROM_EXCLUSIVE_FIELD_NUMBER: _ClassVar[int]
    TO_INCLUSIVE_FIELD_NUMBER: _ClassVar[int]
    NOTICES_FIELD_NUMBER: _ClassVar[int]
    from_exclusive: Position
    to_inclusive: Position
    notices: _containers.RepeatedCompositeFieldContainer[Notice]
    def __init__(self, from_exclusive: _Optional[_Union[Position, _Mapping]] = ..., to_inclusive: _Optional[_Union[Position, _Mapping]] = ..., notices: _Optional[_Iterable[_Union[Notice, _Mapping]]] = ...) -> None: ...

class Progress(_message.Message):
    __slots__ = ("position",)
    POSITION_FIELD_NUMBER: _ClassVar[int]
    position: Position
    def __init__(self, position: _Optional[_Union[Position, _Mapping]] = ...) -> None: ...

class GoingAway(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Notice(_message.Message):
    __slots__ = ("sequence", "event_redacted", "event_rejected", "events_invalidated", "room_purged", "homeserver_purged")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    EVENT_REDACTED_FIELD_NUMBER: _ClassVar[int]
    EVENT_REJECTED_FIELD_NUMBER: _ClassVar[int]
    EVENTS_INVALIDATED_FIELD_NUMBER: _ClassVar[int]
    ROOM_PURGED_FIELD_NUMBER: _ClassVar[int]
    HOMESERVER_PURGED_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    event_redacted: EventRedacted
    event_rejected: EventRejected
    events_invalidated: EventsInvalidated
    room_purged: RoomPurged
    homeserver_purged: HomeserverPurged
    def __init__(self, sequence: _Optional[int] = ..., event_redacted: _Optional[_Union[EventRedacted, _Mapping]] = ..., event_rejected: _Optional[_Union[EventRejected, _Mapping]] = ..., events_invalidated: _Optional[_Union[EventsInvalidated, _Mapping]] = ..., room_purged: _Optional[_Union[RoomPurged, _Mapping]] = ..., homeserver_purged: _Optional[_Union[HomeserverPurged, _Mapping]] = ...) -> None: ...

class EventRedacted(_message.Message):
    __slots__ = ("room_id", "event_id", "redacted_by")
    ROOM_ID_FIELD_NUMBER: _ClassVar[int]
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    REDACTED_BY_FIELD_NUMBER: _ClassVar[int]
    room_id: str
    event_id: str
    redacted_by: str
    def __init__(self, room_id: _Optional[str] = ..., event_id: _Optional[str] = ..., redacted_by: _Optional[str] = ...) -> None: ...

class EventRejected(_message.Message):
    __slots__ = ("room_id", "event_id", "rejected")
    ROOM_ID_FIELD_NUMBER: _ClassVar[int]
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    REJECTED_FIELD_NUMBER: _ClassVar[int]
    room_id: str
    event_id: str
    rejected: bool
    def __init__(self, room_id: _Optional[str] = ..., event_id: _Optional[str] = ..., rejected: _Optional[bool] = ...) -> None: ...

class EventsInvalidated(_message.Message):
    __slots__ = ("room_id", "event_ids")
    ROOM_ID_FIELD_NUMBER: _ClassVar[int]
    EVENT_IDS_FIELD_NUMBER: _ClassVar[int]
    room_id: str
    event_ids: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, room_id: _Optional[str] = ..., event_ids: _Optional[_Iterable[str]] = ...) -> None: ...

class RoomPurged(_message.Message):
    __slots__ = ("room_id",)
    ROOM_ID_FIELD_NUMBER: _ClassVar[int]
    room_id: str
    def __init__(self, room_id: _Optional[str] = ...) -> None: ...

class HomeserverPurged(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...
