"""What the exchange's REST interface still tells: gaps, silences, the clock."""
