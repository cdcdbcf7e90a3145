"""Which symbols the exchange trades, and which of them are wanted."""
