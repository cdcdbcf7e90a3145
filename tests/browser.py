"""A real browser, without a window and without a network: Debian's Chromium by its own protocol."""

from __future__ import annotations

import base64
import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import websocket

from tests.tools import required
from tests.waiting import WITHIN_SECONDS, eventually

PATIENCE_SECONDS = WITHIN_SECONDS
_FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    # Names of strangers that lead to this machine, as after DNS rebinding.
    "--host-resolver-rules=MAP *.example 127.0.0.1",
    "--hide-scrollbars", "--remote-debugging-port=0", "about:blank",
)  # fmt: skip
DRAWN = "[...document.querySelectorAll('.chart')].every(one => one.querySelector('.main-svg'))"
"""Of a report: whether every chart is there."""
_WATCHED = ("Page", "Runtime", "Log", "Network")


class BrowserError(Exception):
    """The browser refuses a call, as while a page is being left: who waits asks again."""


class Page:
    """One tab. What it complains about and what it asks the network for is kept."""

    def __init__(self, connection: websocket.WebSocket) -> None:
        self._connection = connection
        self._session: str | None = None
        self._number = 0
        self._seen: list[dict[str, Any]] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in _WATCHED:
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: object) -> dict[str, Any]:
        """Call a method of the protocol and return its result."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session is not None:
            message["sessionId"] = self._session
        self._connection.send(json.dumps(message))
        while True:
            answer: dict[str, Any] = json.loads(self._connection.recv())
            if answer.get("id") == self._number:
                if "error" in answer:
                    raise BrowserError(answer["error"])
                result: dict[str, Any] = answer["result"]
                return result
            self._seen.append(answer)

    def show(self, at: Path | str, *, width: int, height: int = 900, dark: bool = False) -> None:
        """Open a file or URL at a width, in light or dark, and wait until it is loaded."""
        self._seen.clear()
        self.screen(width, height)
        self.scheme(dark=dark)
        self.call("Page.navigate", url=at.as_uri() if isinstance(at, Path) else at)
        self.wait_for("document.readyState === 'complete'")

    @contextmanager
    def before_each_document(self, script: str) -> Iterator[None]:
        """Have a script run in each document before any of its own, until the block is left."""
        added = self.call("Page.addScriptToEvaluateOnNewDocument", source=script)
        yield
        self.call("Page.removeScriptToEvaluateOnNewDocument", identifier=added["identifier"])

    def screen(self, width: int, height: int = 900) -> None:
        """Change the size of the screen; narrow ones are touched."""
        phone = width < 600
        screen: dict[str, object] = {"width": width, "height": height, "mobile": phone}
        self.call("Emulation.setDeviceMetricsOverride", deviceScaleFactor=1, **screen)
        self.call("Emulation.setTouchEmulationEnabled", enabled=phone)

    def scheme(self, *, dark: bool, still: bool = False) -> None:
        """Change what the system asks for: light or dark, `still` for reduced motion."""
        features = {
            "prefers-color-scheme": "dark" if dark else "light",
            "prefers-reduced-motion": "reduce" if still else "no-preference",
        }
        asked = [{"name": name, "value": value} for name, value in features.items()]
        self.call("Emulation.setEmulatedMedia", features=asked)

    def press(self, key: str, text: str = "") -> None:
        """Press and release a key, such as Tab."""
        for kind in ("keyDown", "keyUp"):
            pressed = {"type": kind, "key": key, "code": key}
            codes = {"Tab": 9, "Enter": 13, " ": 32}
            self.call(
                "Input.dispatchKeyEvent",
                **pressed,
                windowsVirtualKeyCode=codes.get(key, 0),
                **({"text": text} if text and kind == "keyDown" else {}),
            )

    def value(self, expression: str) -> Any:
        """Return the value of an expression."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def wait_for(self, expression: str) -> None:
        """Wait until an expression is true."""
        eventually(lambda: self.value(expression), what=expression)

    @property
    def complaints(self) -> list[dict[str, Any]]:
        """Errors and warnings of the console, exceptions included, since the page was opened."""
        self.value("0")  # takes in what is under way
        return [
            one
            for one in self._seen
            if one.get("method") in ("Runtime.exceptionThrown", "Log.entryAdded")
            or (
                one.get("method") == "Runtime.consoleAPICalled"
                and one["params"]["type"] in ("error", "warning", "assert")
            )
        ]

    @property
    def requested(self) -> list[str]:
        """Addresses that were asked for since the page was opened."""
        self.value("0")
        return [
            one["params"]["request"]["url"]
            for one in self._seen
            if one.get("method") == "Network.requestWillBeSent"
        ]

    def screenshot(self, path: Path, *, whole: bool = True) -> None:
        """Save a picture of the whole page, or of what fits on the screen."""
        shot = self.call("Page.captureScreenshot", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(shot["data"]))


@contextmanager
def browser(directory: Path) -> Iterator[Page]:
    """Yield a tab of a browser of our own, with its files in `directory`."""
    chromium = required("chromium", "chromium")
    process = subprocess.Popen(
        [chromium, f"--user-data-dir={directory}", *_FLAGS],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        port, path = _address(directory / "DevToolsActivePort", process)
        connection = websocket.create_connection(
            f"ws://127.0.0.1:{port}{path}", timeout=PATIENCE_SECONDS, suppress_origin=True
        )
        yield Page(connection)
        connection.close()
    finally:
        process.kill()  # it has nothing to save, and asked to end it may take long
        process.wait()


def _address(file: Path, process: subprocess.Popen[bytes]) -> tuple[str, str]:
    def told() -> tuple[str, str] | None:
        assert process.poll() is None, f"Chromium ended with {process.poll()}"
        port, path = file.read_text().splitlines()
        return port, path

    address: tuple[str, str] = eventually(told, what="Chromium's address")
    return address
