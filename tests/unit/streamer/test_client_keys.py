from streamer.client_keys import HARMLESS, dotted_keys, redacted, revealed
from streamer.secret import MASK, Secret


def test_client_keys_are_dotted_however_they_are_given():
    given = {"sasl": {"mechanism": "PLAIN"}, "ssl_ca_location": "/ca.pem", "log_level": 5}
    assert dotted_keys(given) == {
        "sasl.mechanism": "PLAIN",
        "ssl.ca.location": "/ca.pem",
        "log_level": 5,
    }


def test_a_secret_is_revealed_to_the_client_alone():
    client = {"sasl.password": Secret("hunter2"), "linger.ms": 5}
    assert revealed(client) == {"sasl.password": "hunter2", "linger.ms": 5}
    assert "hunter2" not in repr(client)


def test_what_the_client_says_is_masked():
    client = {"a": Secret("hunter2"), "b": Secret("hunter2 and more"), "c": Secret("e"), "d": 5}
    assert redacted("kinit -w hunter2 and more, hunter2", client) == f"kinit -w {MASK}, {MASK}"


def test_no_key_that_may_hold_a_secret_is_called_harmless():
    words = ("pass", "secret", "token", "pem", "jaas", "config", "cmd", "user", "extensions")
    assert not [key for key in HARMLESS if any(word in key for word in words)]
