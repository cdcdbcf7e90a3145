import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.secret import MASK, Secret, SecretUrl, without_credentials


def test_nothing_but_reveal_shows_a_secret():
    secret = Secret("hunter2")
    shown = [str(secret), repr(secret), f"{secret}", f"{secret:}", str([secret])]
    assert not any("hunter2" in text for text in shown)
    assert secret.reveal() == "hunter2"
    assert secret.hides
    assert not Secret("").hides


def test_a_secret_is_equal_by_its_text_and_its_type():
    assert Secret("a") == Secret("a") != Secret("b")
    assert Secret("a") != SecretUrl("a")
    assert Secret("a") != "a"
    assert hash(Secret("a")) == hash(Secret("a"))
    assert Secret("a")
    assert not Secret("")


def test_a_secret_goes_through_the_pipe_to_a_child():
    assert pickle.loads(pickle.dumps(SecretUrl("http://a:b@c"))).reveal() == "http://a:b@c"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://proxy:3128", "http://proxy:3128"),
        ("http://me:pw@proxy:3128", f"http://{MASK}@proxy:3128"),
        ("http://me:p@/w@proxy:3128", f"http://{MASK}@proxy:3128"),
        ("socks5h://me@proxy", f"socks5h://{MASK}@proxy"),
        ("me:pw@proxy", f"{MASK}@proxy"),
    ],
)
def test_a_url_is_shown_without_its_user_and_password(url, shown):
    assert str(SecretUrl(url)) == without_credentials(url) == shown
    assert SecretUrl(url).hides == (url != shown)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("", ""),
        ("proxy:3128", "proxy:3128"),
        ("http://[fd00::1]:80/", "http://[fd00::1]:80/"),
        ("http://me:hunter2", MASK),
        ("http://me:hunter2%40proxy:3128", f"http://{MASK}@proxy:3128"),
        ("http://me%3Ahunter2", MASK),
        ("depth@100ms", MASK),
    ],
)
def test_a_url_with_something_missing_shows_no_password_either(text, shown):
    assert str(SecretUrl(text)) == shown


def test_a_stream_is_no_url():
    assert without_credentials("depth@100ms") == "depth@100ms"


PASSWORDS = st.text("@/:?#%[]xyz", min_size=1)


@given(PASSWORDS)
def test_no_password_in_a_url_is_shown_whatever_is_in_it(password):
    shown = without_credentials(f"http://me:{password}@proxy:3128")
    assert shown == f"http://{MASK}@proxy:3128"
