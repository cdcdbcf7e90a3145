"""The venue: Binance Spot as its documentation (2026) and its users tell. Constants only."""

from __future__ import annotations

RECORD_ID_PREFIX = "binance:spot"
"""What every record id begins with."""

WEBSOCKET_URL = "wss://stream.binance.com:9443"
REST_URL = "https://api.binance.com"
HOSTS = (
    "stream.binance.com", "data-stream.binance.vision",
    "api.binance.com", "api-gcp.binance.com", "data-api.binance.vision",
    *(f"api{number}.binance.com" for number in range(1, 5)),
)  # fmt: skip

STREAMS_PER_CONNECTION = 1024
SUBSCRIBE_FRAME_BYTES_MAX = 4096  # one above about that was seen to get no answer

REST_PATH = "/api/v3/"
REST_MICROSECONDS = ("X-MBX-TIME-UNIT", "MICROSECOND")  # without this header times come in ms
REST_USED_WEIGHT = "x-mbx-used-weight-1m"  # by everybody at this IP in the exchange's minute
REST_WEIGHT_PER_MINUTE = 6000  # for each IP
PAGE_LIMIT = 1000  # events in an answer at most
DEPTH_LEVELS_MAX = 5000  # of each side of a book in an answer
DEPTH_WEIGHTS = ((100, 5), (500, 25), (1000, 50), (DEPTH_LEVELS_MAX, 250))  # by levels, at most
TRADES_WEIGHT, AGG_TRADES_WEIGHT, KLINES_WEIGHT, TIME_WEIGHT = 25, 4, 2, 1
EXCHANGE_INFO_WEIGHT = 20
