"""`python -m streamer backfill`: the past of streams, from REST or from the exchange's archives."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from streamer.backfill.errors import LEFT, BackfillError, NothingToFill
from streamer.data.catalogue import BY_STREAM, REPAIRABLE, kind_of
from streamer.errors import HandshakeError, SettingsError
from streamer.sink_command import (
    INTERRUPTED,
    SinkParser,
    list_argument,
    settings_of,
    symbols_argument,
    time_argument,
)

if TYPE_CHECKING:  # what takes long to import comes after the usage is known to be right
    from streamer.backfill.archive import Archive
    from streamer.backfill.progress import Progress
    from streamer.backfill.run import Backfill, Wanted
    from streamer.backfill.stop import Stop
    from streamer.backfill.target import Target
    from streamer.settings import StreamerSettings

FILLED = 0

_EPILOG = """\
Only what is not there is stored: run it again after any end, a kill included, and it goes on. A
streamer may write to the same directory or topics meanwhile. Files go below backfill/ of the sink's
directory, by kind; messages have the header vigil-source. A gap that is filled is closed by a
record (docs/backfill.md).

Exit codes: 0 everything that was asked for is there; 2 usage or configuration; 3 something could
not be filled, and is named; 4 there is no such directory, or Kafka does not answer; 130
interrupted: what was fetched is stored.
"""


def main(arguments: Sequence[str]) -> int:
    """Run the command and return its exit code."""
    parser = SinkParser(
        "backfill",
        "Fills the past of trades, aggregate trades and klines: what recorded gaps "
        "declare, or a time, over REST or from the exchange's public archives.",
        _EPILOG,
    )
    add = parser.add_argument
    add(
        "--symbol",
        type=symbols_argument,
        metavar="LIST",
        help="only these, with commas, such as BTCUSDT",
    )
    add("--stream", type=_streams, metavar="LIST", help="only these: trade, aggTrade, kline_1m …")
    for name, what in (("--from", "first"), ("--to", "after the last")):
        add(
            name,
            type=time_argument,
            metavar="TIME",
            help=f"{what} time of a trade, UTC: 2026-11-27T13:30",
        )
    add("--gaps", action="store_true", help="all that gap records declare missing")
    add(
        "--from-archive",
        type=Path,
        metavar="DIRECTORY",
        help="of archives of data.binance.vision, each with its .CHECKSUM; instead of REST",
    )
    add(
        "--uncompared",
        action="store_true",
        help="take what REST tells also where nothing that is stored lies next to it, though the "
        "address is of no known exchange",
    )
    parser.add_settings()
    options = parser.parse(arguments)
    begin, end = getattr(options, "from"), options.to
    if not (options.gaps or options.from_archive):
        missing = [
            name for name, value in (("--symbol", options.symbol), ("--stream", options.stream),
                                     ("--from", begin), ("--to", end)) if value is None
        ]  # fmt: skip
        if missing:
            parser.error(f"expected --gaps, --from-archive, or {', '.join(missing)} as well")
    if options.gaps and not options.from_archive and (begin, end) != (None, None):
        parser.error("--from and --to are for a time or for archives, not for --gaps over REST")
    if begin is not None and end is not None and begin >= end:
        parser.error("--from must be before --to")

    from streamer.backfill.progress import Progress
    from streamer.backfill.run import Wanted

    settings = settings_of(options, dials=not options.from_archive)
    wanted = Wanted(
        frozenset(options.symbol) if options.symbol else None,
        frozenset(options.stream) if options.stream else None,
        begin,
        end,
        options.gaps,
    )
    progress = Progress(sys.stderr, is_terminal=sys.stderr.isatty())
    return _run(settings, wanted, options.from_archive, progress, uncompared=options.uncompared)


def _run(
    settings: StreamerSettings,
    wanted: Wanted,
    archives: Path | None,
    progress: Progress,
    *,
    uncompared: bool,
) -> int:
    from streamer.backfill.run import Backfill
    from streamer.backfill.stop import Stop, Stopped

    stop = Stop()
    code = FILLED
    try:
        with stop.listening(), closing(_target(settings, progress)) as target:
            backfill = Backfill(target, wanted, progress, stop)
            try:
                _fill(backfill, settings, wanted, archives, progress, stop, uncompared=uncompared)
            except Stopped:
                progress.say("stopped: what was fetched is stored, the next run goes on")
                code = INTERRUPTED
            except BackfillError as error:
                progress.say(str(error))
                code = error.exit_code
            backfill.finish()
    except KeyboardInterrupt:
        progress.say("stopped at once: the next run completes what was being written, and goes on")
        return INTERRUPTED
    except BackfillError as error:
        progress.say(str(error))
        return error.exit_code
    except OSError as error:
        progress.say(f"{error.filename or settings.sink.directory}: {error.strerror or error}")
        return LEFT
    outcome = backfill.outcome
    progress.say(
        f"{outcome.stored:,} events stored, {outcome.closed:,} gaps closed, "
        f"{len(outcome.left):,} things left"
    )
    return LEFT if outcome.left and code == FILLED else code


def _target(settings: StreamerSettings, progress: Progress) -> Target:
    if settings.sink.kind == "kafka":
        from streamer.backfill.kafka_target import KafkaTarget

        return KafkaTarget(settings.kafka, settings.sink.directory, progress.say)
    if settings.sink.kind == "files":
        from streamer.backfill.target import FilesTarget

        return FilesTarget(settings.sink, progress.say)
    raise SettingsError(f"sink.kind = {settings.sink.kind!r}: expected files or kafka")


def _fill(
    backfill: Backfill,
    settings: StreamerSettings,
    wanted: Wanted,
    directory: Path | None,
    progress: Progress,
    stop: Stop,
    *,
    uncompared: bool,
) -> None:
    if directory is not None:
        archives = list(_archives(directory, wanted, progress))
        kinds = {kind_of(one.name.stream) for one in archives}
        if wanted.gaps_only:  # those that no archive is of are named
            kinds |= {kind_of(one) for one in wanted.streams} if wanted.streams else set(REPAIRABLE)
        backfill.look(kinds)
        backfill.from_archives(archives)
        return
    from streamer.backfill.rest_past import SHARE_OF_REPAIRS, RestPast
    from streamer.network.handshake import make_ssl_context
    from streamer.repair.rest import RestClient
    from streamer.repair.weight import WeightBudget
    from streamer.venues import belong_together

    exchange, rules = settings.exchange, settings.repair
    backfill.look({kind_of(one) for one in wanted.streams} if wanted.streams else REPAIRABLE)
    try:
        client = RestClient(exchange, make_ssl_context(exchange), rules.request_timeout)
    except HandshakeError as error:
        raise BackfillError(str(error)) from error
    with closing(client):
        past = RestPast(
            ask=client.ask,
            budget=WeightBudget(rules.weight_per_minute, rules.weight_share * SHARE_OF_REPAIRS),
            in_milliseconds=exchange.time_unit == "ms",
            give_up_after_seconds=rules.give_up_after,
            say=progress.say,
            clock=stop,
            same_venue=uncompared or belong_together(exchange.websocket_url, exchange.rest_url),
        )
        backfill.from_rest(past)


def _archives(directory: Path, wanted: Wanted, progress: Progress) -> Iterator[Archive]:
    """Yield the archives that are asked for, the oldest first. Raises BackfillError."""
    from streamer.backfill.archive import Archive
    from streamer.backfill.archive_name import parse_name

    if not directory.is_dir():
        raise NothingToFill(f"{directory}: no such directory; expected one of archives")
    found = []
    for path in sorted(directory.rglob("*.zip")):
        name = parse_name(path.name)
        if name is None:
            progress.say(
                f"{path}: passed over; expected a name such as BTCUSDT-trades-2026-11-27.zip"
            )
        elif wanted.has(name.stream, name.symbol) and (
            (wanted.to_us is None or name.from_us < wanted.to_us)
            and (wanted.from_us is None or name.to_us > wanted.from_us)
        ):
            found.append(Archive(path, name))
    if not found:
        raise BackfillError(
            f"{directory}: no archive of what is asked for; expected names such as "
            "BTCUSDT-trades-2026-11-27.zip"
        )
    yield from sorted(found, key=lambda one: (one.name.stream, one.name.symbol, one.name.from_us))


def _streams(text: str) -> tuple[str, ...]:
    streams = list_argument(text)
    for stream in streams:
        if stream not in BY_STREAM or kind_of(stream) not in REPAIRABLE:
            raise argparse.ArgumentTypeError(
                f"{stream!r}: expected trade, aggTrade or kline_ and an interval, such as kline_1m"
            )
    return streams
