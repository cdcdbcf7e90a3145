import pytest

from streamer.errors import SettingsError
from streamer.secret import MASK, Secret
from streamer.settings import StreamerSettings, changes, load, masked

NOTHING: dict[str, str] = {}


def settings(*assignments, file=None, environment=NOTHING):
    return load(StreamerSettings, file, assignments, environment)


def refused(*assignments, file=None, environment=NOTHING):
    with pytest.raises(SettingsError) as caught:
        settings(*assignments, file=file, environment=environment)
    return str(caught.value)


def test_the_defaults_point_at_the_real_exchange():
    default = settings()
    assert default.exchange.websocket_url == "wss://stream.binance.com:9443"
    assert default.exchange.verify_tls
    assert default.connection.max_age == 4 * 3600


def test_set_overrides_environment_overrides_file(tmp_path):
    file = tmp_path / "vigil.toml"
    file.write_text("[connection]\nmax_age = '1h'\nping_every = '60s'\nstale_after = 9\n")
    environment = {"VIGIL_CONNECTION__MAX_AGE": "2h", "VIGIL_CONNECTION__PING_EVERY": "90s"}
    merged = settings("connection.max_age=3h", file=file, environment=environment).connection
    assert (merged.max_age, merged.ping_every, merged.stale_after) == (3 * 3600, 90, 9)


def test_a_minute_and_a_month_are_two_streams():
    streams = ("kline_1m", "kline_1M", "depth@100ms")
    assert settings(f"exchange.streams={','.join(streams)}").exchange.streams == streams


@pytest.mark.parametrize("value", ['["BTCUSDT","ethusdt"]', "BTCUSDT,ethusdt", "btcusdt, ETHUSDT"])
def test_lists_are_toml_or_text_with_commas(value):
    assert settings(f"exchange.symbols={value}").exchange.symbols == ("BTCUSDT", "ETHUSDT")
    environment = {"VIGIL_EXCHANGE__SYMBOLS": value}
    assert settings(environment=environment).exchange.symbols == ("BTCUSDT", "ETHUSDT")


def test_client_settings_keep_their_dots(tmp_path):
    file = tmp_path / "vigil.toml"
    file.write_text('[kafka.client]\nsasl.mechanism = "PLAIN"\n"security.protocol" = "SASL_SSL"\n')
    environment = {"VIGIL_KAFKA__CLIENT__SASL_PASSWORD": "hunter2"}
    client = settings("kafka.client.linger.ms=20", file=file, environment=environment).kafka.client
    assert client == {
        "sasl.mechanism": "PLAIN",
        "security.protocol": "SASL_SSL",
        "sasl.password": Secret("hunter2"),
        "linger.ms": "20",
    }


@pytest.mark.parametrize(
    ("assignment", "expected"),
    [
        ("connection.max_age=soon", "connection.max_age = 'soon': expected a duration"),
        ("connection.max_age=48h", "connection.max_age = '48h': expected at most 86400 s"),
        ("connection.maxage=4h", "connection.maxage: no such key; did you mean max_age?"),
        ("conection.max_age=4h", "conection: no such section; there are: connection"),
        ("sink.kind=sqlite", "sink.kind = 'sqlite': expected 'files', 'kafka' or 'null'"),
        ("exchange.websocket_url=wss://stream.binance.us:9443", "another venue"),
        ("exchange.websocket_url=https://stream.binance.com", "wss://stream.binance.com:9443"),
        ("exchange.websocket_url=wss://x/ws", "only scheme, host and port"),
        ("exchange.symbols=BTCUSDT,btcusdt", "expected each only once"),
        ("exchange.symbols=BTC/USDT", "expected a symbol such as BTCUSDT"),
        ("exchange.streams=trade,trade", "expected each only once"),
        ("exchange.streams=trade,depht", "exchange.streams.1 = 'depht': expected trade, "),
        (
            "exchange.streams=kline_2m",
            "exchange.streams.0 = 'kline_2m': expected kline_ and an interval",
        ),
        ("exchange.streams=[]", "exchange.streams = []: expected at least one"),
        ("exchange.streams=7", "exchange.streams.0 = '7': expected trade"),
        ("exchange.symbols=[]", "exchange.symbols = []: expected at least one"),
        ("sink.rollover_bytes=12parsecs", "450MiB"),
        (
            "exchange.websocket_url=wss://stream.testnet.binance.vision",
            "exchange.rest_url = 'https://testnet.binance.vision' belongs to it",
        ),
        ("exchange.rest_url=https://fapi.binance.com", "that is Binance Futures (USD-M)"),
        ("connection.pong_within=200s", "less than connection.ping_every (180 s)"),
        ("connection.backoff_initial=90s", "at most connection.backoff_max (60 s)"),
        ('kafka.topics={"aggTrade" = "x"}', "kafka.topics: has no topic for the stream trade"),
        ('kafka.topics={"trade" = "a b"}', "1 to 249 of a-z"),
        ('kafka.topics={"trade" = "x", "aggTrade" = "x"}', "a topic of its own"),
        ('kafka.topics={"trade" = ["a"], "aggTrade" = ["a"]}', "expected a text"),
        ("kafka.dead_letter_topic=a/b", "1 to 249 of a-z"),
        ("kafka.schema_registry_url=registry:8081", "https://registry:8081"),
        ("kafka.schema_registry_url=http://me:pw@registry", "kafka.schema_registry_user"),
        ("kafka.schema_registry_user=me", "kafka.schema_registry_password: both or none"),
        ("kafka.serializer_cache_size=0", "expected at least 1"),
        ("group.enabled=true", "group.enabled: needs sink.kind = kafka"),
        ("group.shards=0", "expected at least 1"),
        ("group.session_timeout=0.5s", "expected at least 1"),
        ("max_age", "expected section.key=value"),
    ],
)
def test_a_wrong_setting_names_its_key_and_the_cure(assignment, expected):
    assert expected in refused(assignment)


def test_a_group_needs_positions_and_topics_that_are_there_before_a_symbol_is():
    said = refused(
        "group.enabled=true",
        "sink.kind=kafka",
        'kafka.positions_topic=""',
        'kafka.topics={"trade" = "trades.{symbol}"}',
    )
    assert "needs kafka.positions_topic" in said
    assert "expected kafka.topics without {symbol}" in said
    assert "it is in trade" in said


def test_every_error_is_said_at_once():
    said = refused("sink.kind=x", "connection.ping_every=y", "nonsense.key=1").splitlines()
    assert len(said) == 3


@pytest.mark.parametrize(
    "key",
    [
        "client.sasl.password",
        "client.ssl.key.password",
        "client.ssl.key.pem",
        "client.ssl_key_pem",
        "client.sasl.oauthbearer.client.secret",
        "client.sasl.oauthbearer.assertion.private.key.passphrase",
        "schema_registry_password",
    ],
)
def test_a_secret_on_the_command_line_is_refused_and_not_repeated(key):
    said = refused(f"kafka.{key}=hunter2")
    name = key.replace("client.", "client__", 1).replace(".", "_").upper()
    assert f"(VIGIL_KAFKA__{name})" in said
    assert "hunter2" not in said


def test_a_wrong_secret_is_not_repeated_either(tmp_path):
    file = tmp_path / "vigil.toml"
    file.write_text("kafka.client.sasl.password = [987654]")
    said = refused(file=file)
    assert "kafka.client.sasl.password: expected a text in quotes" in said
    assert "987654" not in said


def test_a_file_that_cannot_be_read_or_parsed_is_named(tmp_path):
    assert "cannot be read" in refused(file=tmp_path / "absent.toml")
    broken = tmp_path / "broken.toml"
    broken.write_text("[exchange\n")
    assert f"{broken}: is no valid TOML" in refused(file=broken)


def test_secrets_are_masked_and_the_rest_is_shown():
    environment = {"VIGIL_KAFKA__CLIENT__SASL_PASSWORD": "hunter2"}
    environment["VIGIL_EXCHANGE__PROXY"] = "http://me:p%40%2Fw@proxy:3128"
    shown = masked(settings(environment=environment))
    assert shown["kafka"]["client"]["sasl.password"] == MASK
    assert shown["exchange"]["proxy"] == f"http://{MASK}@proxy:3128"
    assert shown["connection"]["max_age"] == 4 * 3600


def test_a_proxy_comes_from_the_environment_unless_the_settings_have_one():
    environment = {
        "HTTPS_PROXY": "http://me:hunter2@proxy:3128",
        "NO_PROXY": "api.binance.com",
    }
    taken = settings(environment=environment)
    assert str(taken.exchange.proxy_of("websocket_url")) == f"http://{MASK}@proxy:3128"
    assert taken.exchange.proxy_of("rest_url") is None
    shown = masked(taken)["exchange"]["environment_proxies"]
    assert shown == {"websocket_url": f"http://{MASK}@proxy:3128"}

    own = settings("exchange.proxy=http://own:1", environment=environment).exchange
    assert str(own.proxy_of("websocket_url")) == str(own.proxy_of("rest_url")) == "http://own:1"
    none = settings("exchange.proxy=", environment=environment).exchange
    assert none.proxy_of("websocket_url") is None
    assert none.environment_proxies == {}
    after = settings("exchange.proxy=", environment=environment)
    assert list(changes(taken, after)) == ["exchange.proxy"]


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("proxy:3128", "exchange.proxy = 'proxy:3128': has no scheme; expected http://HOST:PORT"),
        ("https://proxy:3128", "exchange.proxy = 'https://proxy:3128': asks for TLS to the proxy"),
        ("http://proxy:3128/x", "exchange.proxy = '********': has more than host and port"),
        ("http://proxy:99999", "exchange.proxy = 'http://proxy:99999': has no usable host"),
    ],
)
def test_a_proxy_that_cannot_work_is_refused_at_load(value, problem):
    assert problem in refused(environment={"VIGIL_EXCHANGE__PROXY": value})


def test_a_proxy_of_the_environment_that_cannot_work_is_named_once():
    text = refused(environment={"HTTPS_PROXY": "ftp://proxy:1"})
    assert text.startswith("HTTPS_PROXY in the environment has an unsupported scheme")
    assert len(text.splitlines()) == 1
    environment = {"HTTPS_PROXY": "ftp://proxy:1"}
    assert load(StreamerSettings, None, (), environment, dials=False).exchange.proxy is None


def test_sections_of_the_watcher_do_not_disturb_the_lone_streamer():
    assert settings("monitor.sample_every=2s", "supervisor.drain_grace=3s")


def test_a_file_of_more_problems_than_anybody_reads_is_told_in_short(tmp_path):
    file = tmp_path / "vigil.toml"
    file.write_text("".join(f"[section{number}]\n" for number in range(200)))
    said = refused(file=file).splitlines()
    assert (len(said), said[-1]) == (51, "and 150 more")


def test_a_wrong_key_is_cut_and_escaped(tmp_path):
    file = tmp_path / "vigil.toml"
    file.write_text('[exchange]\n"' + "x" * 5_000 + '" = 1\n"\\u001b[2J" = 2\n')
    said = refused(file=file)
    assert "exchange.\\x1b[2J: no such key" in said
    assert len(said) < 1_000
    assert "\x1b" not in said


def test_what_has_a_secret_in_it_is_not_shown_whatever_is_wrong_with_it(tmp_path):
    environment = {
        "VIGIL_KAFKA__CLIENT": '{"sasl.password": "hunter2"}',  # JSON, no TOML
        "VIGIL_KAFKA__SCHEMA_REGISTRY_URL": "https://me:hunter2@registry",
        "VIGIL_EXCHANGE__WEBSOCKET_URL": "wss://me:hunt/er2@host",
        "VIGIL_EXCHANGE__REST_URL": "me:hunter2@host",
        "VIGIL_SINK__DIRECTORY__PASSWORD": "hunter2",
    }
    for name in environment:
        said = refused(environment={name: environment[name]})
        key = name.removeprefix("VIGIL_").lower().replace("__", ".")
        assert key.removesuffix(".password") in said
        assert "hunt" not in said, name
    for text in ('kafka = "hunter2"', 'kafka = ["hunter2"]', "[[kafka]]\na = 'hunter2'"):
        file = tmp_path / "vigil.toml"
        file.write_text(text)
        assert "hunter2" not in refused(file=file), text


def test_a_secret_that_changes_is_a_change():
    before = settings(environment={"VIGIL_KAFKA__CLIENT__SASL_PASSWORD": "one"})
    after = settings(environment={"VIGIL_KAFKA__CLIENT__SASL_PASSWORD": "two"})
    assert list(changes(before, after)) == ["kafka.client"]
    assert not list(changes(before, before))
