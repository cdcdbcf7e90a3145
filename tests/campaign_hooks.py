"""What a campaign can disable in the streamer, to show that the audits would notice.

Planted in the child before the streamer begins, so that production code has none of it.
"""

from __future__ import annotations

from streamer.config import StreamerConfig


def _run(config: StreamerConfig) -> int:
    from streamer.run import run_streamer

    return run_streamer(config)
