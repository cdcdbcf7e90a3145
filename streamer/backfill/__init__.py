"""`python -m streamer backfill`: the past of a stream, into files or topics (docs/backfill.md)."""
