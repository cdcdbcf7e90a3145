"""What the streamer is compared with, each a process of its own: no order, repair or telemetry.

`bare` is the fastest loop of off-the-shelf parts: picows, msgspec, fastavro, confluent-kafka.
`by-hand` is what people write: WebSocketApp, json, fastavro, a delivery callback per record.
Both read a given number of trades, deliver them, say so, and wait to be ended.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import ssl
import sys
import time
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import fastavro
import msgspec
from confluent_kafka import Producer

from benchmarks.exchange import STREAMS
from streamer.data.events import Envelope
from streamer.data.kinds.trade import Trade
from streamer.data.records import encoder, load_schema, single_object_header

TOPIC = "market.crypto.trades.binance"
POLL_EVERY = 1000
LINGER_MS = 5  # as in the streamer's sink

LEAN = {
    "type": "record",
    "name": "LeanTrade",
    "fields": [
        {"name": "symbol", "type": "string"},
        {"name": "trade_id", "type": "long"},
        {"name": "trade_time", "type": "long"},
        {"name": "price", "type": "string"},
        {"name": "quantity", "type": "string"},
        {"name": "buyer_is_maker", "type": "boolean"},
    ],
}
"""Six fields and no decimals: the least that a trade can be."""

Encode = Callable[[Trade], bytes]


def by_fastavro(schema: dict[str, Any], record_of: Callable[[Trade], dict[str, Any]]) -> Encode:
    """Return an encoder of fastavro's for a schema."""
    parsed = fastavro.parse_schema(schema)
    write = fastavro.schemaless_writer
    header = single_object_header("trade")

    def encode(event: Trade) -> bytes:
        buffer = io.BytesIO()
        buffer.write(header)
        write(buffer, parsed, record_of(event))
        return buffer.getvalue()

    return encode


def full(event: Trade) -> dict[str, Any]:
    """Return our record of a trade, as fastavro wants it."""
    return {
        "record_id": f"binance:spot:{event.symbol}:trade:{event.id}",
        "symbol": event.symbol,
        "trade_id": event.id,
        "event_time": event.event_time,
        "trade_time": event.trade_time,
        "received_time": time.time_ns() // 1000,
        "price": Decimal(event.price),
        "quantity": Decimal(event.quantity),
        "buyer_is_maker": event.buyer_is_maker,
        "source": "live",
    }


def lean(event: Trade) -> dict[str, Any]:
    """Return a record of LEAN."""
    return {
        "symbol": event.symbol,
        "trade_id": event.id,
        "trade_time": event.trade_time,
        "price": event.price,
        "quantity": event.quantity,
        "buyer_is_maker": event.buyer_is_maker,
    }


def ours() -> Encode:
    """Return the streamer's own encoder: what is left then is order, checks, counts, telemetry."""
    header = single_object_header("trade")
    encoders = {
        name.partition("@")[0].upper(): encoder(
            "trade", name.partition("@")[0].upper(), prefix=header
        )
        for name in STREAMS
    }
    return lambda event: encoders[event.symbol](event, time.time_ns() // 1000)


RECORDS: dict[str, Callable[[], Encode]] = {
    "full": lambda: by_fastavro(load_schema("trade"), full),
    "lean": lambda: by_fastavro(LEAN, lean),
    "ours": ours,
}


def producer(bootstrap_servers: str) -> Producer:
    """Return a producer with the streamer's own promises and settings."""
    return Producer(
        {
            "bootstrap.servers": bootstrap_servers,
            "linger.ms": LINGER_MS,
            "enable.idempotence": True,
            "acks": "all",
            "compression.type": "lz4",
            "message.timeout.ms": 0,
            "queue.buffering.max.kbytes": 32 << 10,
            "queue.buffering.max.messages": 0,
            "partitioner": "murmur2_random",
            "delivery.report.only.error": True,
        }
    )


def done() -> None:
    """Say that everything is delivered, and wait: the clock of an ended process is gone."""
    sys.stdout.write('{"done": true}\n')
    sys.stdout.flush()
    sys.stdin.read()


def bare(options: argparse.Namespace, context: ssl.SSLContext) -> None:
    """Read with picows until every trade is delivered."""
    from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

    decode = msgspec.json.Decoder(Envelope[Trade]).decode
    encode = RECORDS[options.record]()
    kafka = producer(options.kafka) if options.kafka else None

    class Reader(WSListener):
        def __init__(self) -> None:
            self.left = options.messages
            self.all_read = asyncio.get_running_loop().create_future()

        def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
            if frame.msg_type != WSMsgType.TEXT:
                return
            event = decode(frame.get_payload_as_memoryview()).data
            value = encode(event)
            if kafka is not None:
                produce(kafka, value, event.symbol)
            self.left -= 1
            if not self.left:
                self.all_read.set_result(None)
            elif kafka is not None and not self.left % POLL_EVERY:
                kafka.poll(0)

    async def read() -> None:
        url = f"{options.url}/stream?streams={'/'.join(STREAMS)}&timeUnit=MICROSECOND"
        reader = Reader()
        transport, _ = await ws_connect(lambda: reader, url, ssl_context=context)
        await reader.all_read
        if kafka is not None:
            kafka.flush()
        done()
        transport.disconnect()

    asyncio.run(read())


def produce(kafka: Producer, value: bytes, symbol: str) -> None:
    """Produce, waiting while the queue is full."""
    while True:
        try:
            kafka.produce(TOPIC, value, symbol)
        except BufferError:
            kafka.poll(0.01)
        else:
            return


def by_hand(options: argparse.Namespace) -> None:
    """Read with WebSocketApp until every trade is delivered."""
    import websocket

    encode = RECORDS["full"]()
    kafka = producer(options.kafka)
    left = options.messages

    def on_message(app: Any, message: str) -> None:  # noqa: ANN401 - websocket-client has no types
        nonlocal left
        data = json.loads(message)["data"]
        event = Trade(
            data["e"], data["E"], data["s"], data["t"], data["p"], data["q"], data["T"], data["m"]
        )
        kafka.produce(TOPIC, encode(event), data["s"], on_delivery=on_delivery)
        kafka.poll(0)
        left -= 1
        if not left:
            kafka.flush()
            done()
            app.close()

    def on_delivery(error: object, message: object) -> None:
        if error is not None:
            sys.stderr.write(f"not delivered: {error}\n")

    url = f"{options.url}/stream?streams={'/'.join(STREAMS)}&timeUnit=MICROSECOND"
    app = websocket.WebSocketApp(url, on_message=on_message)
    app.run_forever(sslopt={"ca_certs": options.ca_file})


def main() -> None:
    """Be one of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rival", choices=("bare", "by-hand"))
    parser.add_argument("--url", required=True)
    parser.add_argument("--ca-file", required=True)
    parser.add_argument("--messages", type=int, required=True)
    parser.add_argument("--kafka", default="", help="bootstrap servers; without: encode and forget")
    parser.add_argument("--record", choices=RECORDS, default="full")
    options = parser.parse_args()
    if options.rival == "bare":
        bare(options, ssl.create_default_context(cafile=options.ca_file))
    else:
        by_hand(options)


if __name__ == "__main__":
    main()
