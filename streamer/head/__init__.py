"""`python -m streamer head`: the last records of a sink, for people who look at it."""
