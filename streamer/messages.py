"""The telemetry wire: what a streamer reports, what it can be told, what it answers.

Public API. A message on the wire is two ZeroMQ frames: the version (`WIRE_VERSION`) and the
msgpack of one of the types here, tagged with its name in `type`. Counts are **cumulative** since
the process began, so that a lost message costs nothing; `generation` tells one process from the
next. New fields get defaults, come last in `StreamCounts`, and are ignored by older readers; a
change that would not be understood raises `WIRE_VERSION`.

The size of a message does not depend on how many streams there are: a `Report` travels without
them, after the `StreamsPart`s with those of which something has changed (`streamer.report_parts`).
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeVar

import msgspec

WIRE_VERSION = b"vigil/2"
MAX_MESSAGE_BYTES = 1 << 20  # more than the 400 streams of a part take with the longest names
TELEMETRY_DROPS = ("too large", "queue full")  # why a message cannot be sent
RECENT_NOTICES = 256  # the most that a report holds; they repeat, in case a report is lost

LATENCY_BUCKETS_SECONDS = (
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
)  # fmt: skip
"""Upper bounds of every latency histogram; one more bucket holds the rest."""

NO_PAST = ("depth", "depth@100ms")
"""Streams whose missing ids nobody can fetch: the exchange tells no past changes of a book."""

State = Literal["connecting", "streaming", "draining", "stopped"]


Count = Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)]
Number = Annotated[float, msgspec.Meta(ge=-1e15, le=1e15)]  # neither NaN nor infinite
UnixTime = Annotated[float, msgspec.Meta(ge=0.0, le=253_402_300_799.0)]  # until the year 9999
Name = Annotated[str, msgspec.Meta(max_length=200)]


class Histogram(msgspec.Struct, frozen=True):
    """Cumulative latencies by bucket.

    `counts[i]` fell at or below `LATENCY_BUCKETS_SECONDS[i]`, above the bound before it; the last
    count is everything above the last bound.
    """

    counts: tuple[Count, ...] = (0,) * (len(LATENCY_BUCKETS_SECONDS) + 1)
    sum_seconds: Number = 0.0


class StreamCounts(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One stream of one symbol. An array on the wire: about 70 bytes, not 250."""

    stream: Name  # what comes after @ on the wire: trade, depth@100ms, kline_1m
    symbol: Name  # upper case, as in the payload
    events_total: Count  # unique events handed to the sink
    duplicates_total: Count
    gaps_total: Count
    missing_total: Count  # ids inside those gaps
    # Trade id, aggregate trade id or update id; else Unix µs: when the last event was made.
    last_id: Count | None
    # `uptime_seconds` of the process at its last event; at its subscription if that was later.
    silent_since: Number
    last_event_time: UnixTime | None  # Unix time of the last arrival
    slot: Name | None = None  # which slot subscribes it; None: not said, fine with a single one
    repaired_total: Count = 0  # ids that REST brought
    repaired_gaps_total: Count = 0
    empty_total: Count = 0  # ids that the exchange shows not to exist: no loss
    pending: Count = 0  # events that wait above an open gap
    # What REST says about a long silence: "quiet" (no news there either), "news" (which the
    # stream did not bring), "unconfirmed" (asked, nothing known yet); None: not asked.
    silence: str | None = None
    epochs_total: Count = 0  # how often its ids began anew
    leaving: bool = False  # no longer wanted; it goes once nothing of it can come any more
    # Why the exchange does not serve it: "unknown_symbol" (REST does not know it, and nothing
    # comes), "refused" (its SUBSCRIBE); None: it does, as far as known.
    unavailable: str | None = None
    # Whether changes of its book are missing that no snapshot makes up for yet; None: no stream of
    # changes, or snapshots are not asked for.
    book_lost: bool | None = None
    book_awaited: bool = False  # its first snapshot since it began is still to come; no loss


class StreamsPart(msgspec.Struct, frozen=True, tag="streams"):
    """Some of the streams of the report that comes next, by their number.

    A stream keeps its number while the process lives, and no other gets it. Of the numbers from
    `first` up to `until`, exclusive, `streams` tells all that there are: what else a reader knows
    of these is gone. So whatever a lost part has told is told again, within half a minute.
    """

    streamer: Name
    generation: Count
    sequence: Count  # of the report
    pid: Count
    streams: dict[Count, StreamCounts]
    removed: tuple[Count, ...] = ()
    first: Count = 0
    until: Count = 0


class SlotState(msgspec.Struct, frozen=True):
    """One subscription set and the connection that serves it now."""

    slot: Name
    live: bool  # connected, upgraded and subscribed
    connection_id: Count | None
    age_seconds: Number | None  # since the upgrade; None while there is no connection
    drops_total: Count  # ends of a live connection outside our plan
    last_pong_time: UnixTime | None  # Unix time of the last pong to our own ping
    rotating: bool = False


class SinkCounts(msgspec.Struct, frozen=True):
    """What the sink did."""

    kind: str
    accepted_total: Count = 0
    acknowledged_total: Count = 0  # written (files) or confirmed by the brokers (kafka)
    errors_total: Count = 0
    queued: Count = 0  # accepted, not yet acknowledged
    bytes_total: Count = 0
    serializer_cache_size: Count = 0
    serializer_cache_evictions_total: Count = 0
    acknowledge_seconds: Histogram = Histogram()  # from accepted to acknowledged
    refused_total: Count = 0  # given up: no attempt could end otherwise; kept as dead letters
    queued_bytes: Count = 0  # of `queued`, as of the client's last look at itself
    retries_total: Count = 0  # requests to brokers that were sent again
    timeouts_total: Count = 0  # requests to brokers that had no answer in time
    producers_replaced_total: Count = 0
    broker_latency_seconds: dict[str, Number] = {}  # by HOST:PORT; 99 of 100 requests are below
    # By stream; while records are queued as of the last look, never too many.
    acknowledged_by_stream: dict[str, Count] = {}
    overflow_records: Count = 0  # of `queued`: those that wait on disk while Kafka takes nothing
    overflow_bytes: Count = 0  # of the files that hold them, and some that are delivered already
    opened: bool = True  # False: what it writes to has not answered since the start
    other_writers: Count = 0  # that record some of the same streams into the same topics


class GroupShards(msgspec.Struct, frozen=True):
    """What a member of a group records of the group's shards."""

    group: Name  # its id
    count: Count  # of all shards that there are
    # Their numbers, those that are being handed over among them; not those that are taken over.
    recorded: tuple[Count, ...] = ()
    streams: Count = 0  # that the whole group records, by this member's settings


class Backfill(msgspec.Struct, frozen=True):
    """The gaps that REST is being asked about."""

    gaps: Count = 0
    ids_left: Count = 0  # that these still miss, as far as known; of klines, candles
    ids_done: Count = 0  # of these gaps, dealt with already
    # At most, by the weight that their pages take: small gaps may need less. None without a gap.
    seconds_left: Number | None = None


class MemoryPart(msgspec.Struct, frozen=True, array_like=True):
    """What one part of a streamer holds of its memory.

    `limit_bytes` is what the part may hold at most by the settings or by a constant, never by what
    it holds: as much of it is accounted for. None: it has no limit, and is told for people only.
    """

    bytes: Count
    limit_bytes: Count | None = None


MEMORY_PARTS_MAX = 32  # of a report
MemoryParts = Annotated[dict[Name, MemoryPart], msgspec.Meta(max_length=MEMORY_PARTS_MAX)]


class Notice(msgspec.Struct, frozen=True):
    """Something worth a line in a log and in the profile, numbered from 1 without holes."""

    number: Count
    time: UnixTime  # Unix time
    kind: str  # one of NOTICE_KINDS
    detail: dict[str, str | int | Number | bool | None]


NOTICE_KINDS = {
    "connection_opened": "connection_id, slot, url",
    "connection_closed": "connection_id, slot, planned, dropped, reason, code, age_seconds",
    "connection_failed": "slot, error_type, error, retry_in_seconds",
    "rotation_started": "slot, reason, from_connection",
    "rotation_completed": "slot, reason, from_connection, to_connection, age_seconds, seconds",
    "rotation_failed": "slot, reason, error",
    "server_shutdown": "connection_id",
    "pong_timeout": "connection_id, slot",
    "gap": "stream, symbol, reason, and first_id, last_id, missing or from_time, to_time: lost",
    "book_lost": "stream, symbol, after_id: from there on a book needs a new snapshot",
    "book_restored": "stream, symbol, last_update_id: a snapshot makes up for what was lost",
    "new_epoch": "stream, symbol, first_id, after_id, epoch: the exchange began its ids anew",
    "gap_empty": "as gap: ids that the exchange shows not to exist",
    "gap_repaired": "stream, symbol, first_id, last_id, repaired",
    "rest_trouble": "error_type, error; once a minute and type",
    "frame_rejected": "error_type, connection_id, error",
    "frame_unsupported": "frame_kind, connection_id; once for each kind",
    "sink_error": "error_type, error",
    "let_go": "events, seconds: read and not kept while the sink took nothing; told at the end",
    "subscription_changed": "added, removed: wire names, the first 20 of each",
    "symbols_listed": "symbols, the first 20, count: they trade, match a pattern, and joined",
    "symbols_delisted": "symbols, the first 20, count: they trade no more, and left",
    "stream_unavailable": "stream, symbol, reason, error: the exchange does not serve it",
    "stream_available": "stream, symbol: it does again",
    "shards_changed": "owned, known, count: shards of the group that are recorded here, those that "
    "come or go as well, and all there are",
    "group_pause": "seconds: nothing was done, and the group is asked whose shards are",
    "group_failed": "error: this process can be no member of the group any more",
    "warning": "message",
}
"""Kinds of notice with the keys of their `detail`; a reader must not choke on others."""


class Report(msgspec.Struct, frozen=True, tag="report"):
    """A streamer's state and counts; sent every second and once more at the end."""

    streamer: Name
    generation: Count
    sequence: Count  # 1, 2, 3, … within a generation
    pid: Count
    time: UnixTime  # Unix time
    uptime_seconds: Number
    state: State
    streams: tuple[StreamCounts, ...]  # all; on the wire none, see StreamsPart
    slots: tuple[SlotState, ...]
    sink: SinkCounts
    message_errors: dict[str, Count] = {}  # by error_type
    connection_errors: dict[str, Count] = {}  # by error_type
    reconnects: dict[str, Count] = {}  # by reason
    rotations: dict[str, Count] = {}  # by reason; completed ones
    rotations_failed_total: Count = 0
    pong_timeouts_total: Count = 0
    reconnect_delay_seconds: Number = 0.0  # the delay before the latest attempt
    unsupported: dict[str, Count] = {}  # frames of kinds without a schema, by kind
    # Exchange's event time → received, corrected by the clocks' offset once that is known.
    dead_letters_total: Count = 0  # what could not be decoded, encoded or delivered, kept
    dead_letters_dropped_total: Count = 0  # the same, beyond the bounds of rate and size
    receive_latency: Histogram = Histogram()
    rest_errors: dict[str, Count] = {}  # by kind of trouble
    clock_offset_seconds: Number | None = None  # the exchange's clock less ours
    shed_total: Count = 0  # events read and not kept, since the sink took nothing for too long
    notices: tuple[Notice, ...] = ()  # those of the last half minute
    final: bool = False  # nothing follows: everything is flushed, or `exit_reason` says why not
    exit_reason: str | None = None
    backfill: Backfill = Backfill()
    telemetry_dropped: dict[str, Count] = {}  # messages that were not sent, by TELEMETRY_DROPS
    memory: MemoryParts = {}  # what holds its memory, by part (`streamer.memory.parts`)
    encoder: Name = "python"  # what encodes the records: "compiled" (docs/accelerator.md) or this
    shards: GroupShards | None = None  # None: it is in no group

    def silent_seconds(self, stream: StreamCounts) -> float:
        """Return for how long one of its streams had brought nothing when this was told."""
        return self.uptime_seconds - stream.silent_since


class Command(msgspec.Struct, frozen=True, tag="command"):
    """A wish. Doing it twice is doing it once: a repeated `id` gets the same answer."""

    id: str
    name: str  # one of COMMANDS
    within_seconds: Number  # from its arrival; afterwards it is refused, not carried out late
    arguments: dict[str, str | int | float | bool] = {}


COMMANDS = {
    "rotate": "replace connections without a gap; arguments: slot (default: all), reason",
    "collect": "run the garbage collector and give free memory back to the system",
    "diagnose": "write what the process sees of itself; arguments: directory, which is there",
    "reload": "stream these from now on; arguments: symbols, streams, each joined by commas",
    "drain": "stop reading, flush the sink, report, end with exit code 0",
    "stop": "as drain, but give up the flush at the deadline",
}


class CommandResult(msgspec.Struct, frozen=True, tag="answer"):
    """The result of a command: accepted and begun, or why not."""

    id: str
    ok: bool
    detail: str = ""
    result: dict[str, str | int | Number | bool | None] = {}


Message = Report | StreamsPart | CommandResult  # from a streamer
_T = TypeVar("_T")
_encoder = msgspec.msgpack.Encoder()
_from_streamer: msgspec.msgpack.Decoder[Message] = msgspec.msgpack.Decoder(Message)
_to_streamer = msgspec.msgpack.Decoder(Command)


class WireError(ValueError):
    """A message that cannot be understood: wrong version, too many frames, not our msgpack."""


def pack(message: Message | Command) -> list[bytes]:
    """Return the frames of a message."""
    return [WIRE_VERSION, _encoder.encode(message)]


def unpack(frames: list[bytes]) -> Message:
    """Return a streamer's message from its frames (without the ROUTER's identity frame).

    Raises WireError.
    """
    return _decode(frames, _from_streamer)


def unpack_command(frames: list[bytes]) -> Command:
    """Return a command from its frames. Raises WireError."""
    return _decode(frames, _to_streamer)


def _decode(frames: list[bytes], decoder: msgspec.msgpack.Decoder[_T]) -> _T:
    if len(frames) != 2 or frames[0] != WIRE_VERSION:
        raise WireError(f"expected frames {WIRE_VERSION!r} and msgpack, not {frames[:1]!r}")
    try:
        return decoder.decode(frames[1])
    except msgspec.MsgspecError as error:
        raise WireError(str(error)) from error
