"""Connected sockets to the exchange, straight or through a proxy, before a deadline.

`dial.dial` serves the WebSocket and REST alike, so that a proxy means the same to both.
"""
