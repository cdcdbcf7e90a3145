from streamer.data.kinds.trade import Trade
from streamer.data.records import encoder
from streamer.routes import Routes
from streamer.sinks.kafka.serializers import Serializers
from tests.unit.streamer.payloads import NOW_US

SYMBOLS = [f"S{number}USDT" for number in range(1000)]
ROUTES = list(Routes(("trade",), SYMBOLS))
HEADERS = {symbol: number.to_bytes(5, "big") for number, symbol in enumerate(SYMBOLS)}


def test_a_thousand_subjects_share_ten_places():
    serializers = Serializers(10, HEADERS)
    for number in range(3):
        for route in ROUTES:
            event = Trade("trade", NOW_US, route.symbol, number, "1", "2", NOW_US, True)
            header = HEADERS[route.symbol]
            expected = encoder("trade", route.symbol, prefix=header)(event, NOW_US)
            assert serializers.of(route.symbol)[route](event, NOW_US) == expected

    assert (serializers.size, serializers.evictions_total) == (10, 2990)


def test_fifteen_into_ten_evict_five_and_the_latest_used_stay():
    serializers = Serializers(10, HEADERS)
    kept = serializers.of(SYMBOLS[0])
    for symbol in SYMBOLS[1:15]:
        serializers.of(symbol)
        assert serializers.of(SYMBOLS[0]) is kept

    assert (serializers.size, serializers.evictions_total) == (10, 5)
