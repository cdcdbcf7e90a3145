"""A Binance Spot look-alike on loopback, with faults on demand."""
