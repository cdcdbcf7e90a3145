"""The lifecycle of streamers: launch, act on decisions, end with a verdict."""
