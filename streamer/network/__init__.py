"""From the exchange's address to the payloads of its messages: connections, and who serves what."""
