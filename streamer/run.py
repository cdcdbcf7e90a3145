"""A streamer as a process: signals, the feed, the exit code."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from types import FrameType

from streamer.assembly import assemble
from streamer.avro import accelerator
from streamer.config import URL_NAMES, ExchangeConfig, StreamerConfig
from streamer.early_stop import early_stop
from streamer.errors import StreamerError
from streamer.feed import Feed
from streamer.lock import LOCK_MARGIN_SECONDS, shard_lock
from streamer.memory.heap import limit_arenas
from streamer.shards.count import confirm, settle, undelivered
from streamer.sinks import open_sink

log = logging.getLogger(__name__)

UNACKNOWLEDGED_EXIT_CODE = 1


def run_streamer(
    config: StreamerConfig, reread: Callable[[], ExchangeConfig | None] | None = None
) -> int:
    """Stream until SIGTERM, SIGINT or a command ends it; return the exit code.

    On SIGHUP `reread` is called, if there is one: what it returns is streamed from then on, and
    None changes nothing.

    0 only when everything received is acknowledged, and nothing waits from before. A second signal
    skips the flush of a streamer that runs alone: 130 or 143.
    """
    limit_arenas()
    accelerator.announce()
    if not config.exchange.verify_tls:
        log.warning("exchange.verify_tls is false: anybody on the way can change the data")
    for name in URL_NAMES:
        if proxy := config.exchange.proxy_of(name):
            source = (
                "HTTPS_PROXY or a similar variable"
                if config.exchange.proxy is None
                else "exchange.proxy"
            )
            log.info("exchange.%s is reached through %s (%s)", name, proxy, source)
    try:
        with ExitStack() as resources:
            with early_stop(partial(_exit_code_before_the_start, config)):
                settle(config)
                lock_within = config.stop_within + LOCK_MARGIN_SECONDS
                lock = resources.enter_context(shard_lock(config.sink.directory, lock_within))
                confirm(config)
                feed = Feed(config, assemble(config, partial(open_sink, config)), reread, lock)
                _heed_signals(feed, config, rereads=reread is not None)
            return UNACKNOWLEDGED_EXIT_CODE if feed.run() else 0
    except StreamerError as error:
        log.error("%s", error)  # noqa: TRY400 - a person needs the sentence, not the traceback
        return error.exit_code


def _exit_code_before_the_start(config: StreamerConfig) -> int:
    waits = config.sink.kind == "kafka" and undelivered(config.sink.directory, 1)
    return UNACKNOWLEDGED_EXIT_CODE if waits else 0


def _heed_signals(feed: Feed, config: StreamerConfig, *, rereads: bool) -> None:
    asked: list[int] = []
    parent = os.getppid()

    def ask(number: int, _frame: FrameType | None) -> None:
        asked.append(number)
        # A supervisor that dies sends its death signal once for each of its threads, and has
        # harder means than a second SIGTERM when it is alive. A person has not.
        if len(asked) > 1 and not config.supervised:
            os._exit(128 + number)  # at once, whatever is not flushed
        # By a supervisor that lives it is followed by SIGABRT.
        is_hurried = config.supervised and os.getppid() == parent
        feed.stop(
            signal.Signals(number).name,
            in_all_seconds=config.term_within if is_hurried else None,
        )

    signal.signal(signal.SIGTERM, ask)
    signal.signal(signal.SIGINT, ask)
    # Supervised, it is the watcher's business; its default would kill.
    signal.signal(signal.SIGHUP, (lambda *_: feed.reread()) if rereads else signal.SIG_IGN)
    signal.set_wakeup_fd(feed.wake_descriptor, warn_on_full_buffer=False)
