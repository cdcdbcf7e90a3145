from http import HTTPStatus

import pytest

from monitor.web.response import SECURITY_HEADERS, Request, refusal, said

PATHS = {"/metrics": None, "/status": None}


@pytest.mark.parametrize(
    ("target", "path"),
    [
        ("/status", "/status"),
        ("/status?a=/b", "/status"),
        ("http://host:1/status?x", "/status"),
        ("HTTPS://host", "/"),
        ("*", "*"),
        ("//[", "//["),
    ],
)
def test_the_path_of_a_target(target: str, path: str) -> None:
    assert Request("GET", target, {}).path == path


def test_the_query_of_a_target() -> None:
    assert Request("GET", "/streams?search=a?b&page=1", {}).query == "search=a?b&page=1"
    assert Request("GET", "/streams", {}).query == ""


@pytest.mark.parametrize(
    ("site", "mode", "another"),
    [
        (None, None, False),  # no browser
        ("none", "navigate", False),  # typed
        ("same-origin", "cors", False),
        ("cross-site", "navigate", False),  # a link
        ("cross-site", "no-cors", True),
        ("same-site", "cors", True),  # another port of this machine
        ("nonsense", None, True),
    ],
)
def test_whether_a_page_of_another_site_asks(
    site: str | None, mode: str | None, another: bool
) -> None:
    headers = {"sec-fetch-site": site, "sec-fetch-mode": mode}
    request = Request("GET", "/", {name: value for name, value in headers.items() if value})
    assert request.from_another_site == another


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (Request("GET", "/status", {"host": "good"}), None),
        (Request("HEAD", "/status", {}), None),
        (Request("GET", "/status", {"host": "bad"}), HTTPStatus.FORBIDDEN),
        (Request("GET", "/status", {"host": ""}), HTTPStatus.FORBIDDEN),
        (Request("GET", "/status", {"sec-fetch-site": "cross-site"}), HTTPStatus.FORBIDDEN),
        (Request("OPTIONS", "/status", {"host": "good"}), HTTPStatus.METHOD_NOT_ALLOWED),
        (Request("get", "/status", {"host": "good"}), HTTPStatus.METHOD_NOT_ALLOWED),
        (Request("GET", "/", {"host": "good"}), HTTPStatus.NOT_FOUND),
    ],
)
def test_what_is_refused(request_: Request, status: HTTPStatus | None) -> None:
    refused = refusal(request_, lambda host: host == "good", PATHS)
    assert (refused and refused.status) == status


def test_every_response_has_its_length_and_the_headers_against_strangers() -> None:
    headers = said(HTTPStatus.OK, "ä", ("Allow", "GET")).all_headers
    assert {("Content-Length", "3"), ("Cache-Control", "no-store"), ("Allow", "GET")} <= {*headers}
    assert {*SECURITY_HEADERS} <= {*headers}
