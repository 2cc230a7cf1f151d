"""A headless Chromium, driven by the WebDriver protocol over loopback HTTP."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from attrs import frozen

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
DRIVER = shutil.which("chromedriver")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
"""The key under which the protocol names an element."""
PATIENCE_S = 60.0


@frozen
class Browser:
    """One window."""

    client: httpx.Client

    def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """Send a command and return its value."""
        answer = self.client.request(method, path, json=body)
        value = answer.json()["value"]
        assert answer.is_success, f"{path}: {value['error']}: {value['message']}"
        return value

    def open(self, place: Path | str) -> None:
        """Load a file or an address and wait until it is there."""
        url = place if isinstance(place, str) else place.as_uri()
        self.call("POST", "url", {"url": url})

    def resize(self, width: int, height: int) -> None:
        """Make the page as wide and high as a screen."""
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        command = {"cmd": "Emulation.setDeviceMetricsOverride", "params": metrics}
        self.call("POST", "goog/cdp/execute", command)

    def theme(self, name: str) -> None:
        """Be one whose owner likes it ``light`` or ``dark``."""
        wanted = {"features": [{"name": "prefers-color-scheme", "value": name}]}
        command = {"cmd": "Emulation.setEmulatedMedia", "params": wanted}
        self.call("POST", "goog/cdp/execute", command)

    def key(self, value: str) -> None:
        """Press and release a key, where the focus is."""
        pressed = [{"type": kind, "value": value} for kind in ("keyDown", "keyUp")]
        body = {"actions": [{"type": "key", "id": "keys", "actions": pressed}]}
        self.call("POST", "actions", body)

    def wait(self, expression: str, *arguments: Any) -> None:
        """Wait until an expression of the page is true."""
        until = time.monotonic() + PATIENCE_S
        while not self.evaluate(expression, *arguments):
            assert time.monotonic() < until, expression
            time.sleep(0.05)

    def hindrances(self, axe: str) -> list[str]:
        """Return what axe-core, given as its source, finds that keeps somebody from using it."""
        self.call("POST", "execute/sync", {"script": axe, "args": []})
        script = (
            "const done = arguments[0]; axe.run(document, {preload: false}).then("
            "r => done(r.violations.map(v => `${v.id}: ${v.help}: ${v.nodes.slice(0, 5)"
            ".map(n => n.html.slice(0, 160)).join(' | ')}`)), e => done([String(e)]))"
        )
        found = self.call("POST", "execute/async", {"script": script, "args": []})
        assert isinstance(found, list)
        return [str(line) for line in found]

    def evaluate(self, expression: str, *arguments: Any) -> Any:
        """Return the value of an expression of the page's language; ``arguments`` are its own."""
        script = {"script": f"return {expression}", "args": list(arguments)}
        return self.call("POST", "execute/sync", script)

    def click(self, selector: str) -> None:
        """Click on the first element that a selector finds, as a user does."""
        found = self.call("POST", "element", {"using": "css selector", "value": selector})
        self.call("POST", f"element/{found[ELEMENT]}/click", {})

    def errors(self) -> list[str]:
        """Return what stands in the console."""
        return [entry["message"] for entry in self.call("POST", "se/log", {"type": "browser"})]

    def requests(self) -> list[str]:
        """Return the addresses of all that was loaded since the last call."""
        entries = self.call("POST", "se/log", {"type": "performance"})
        events = [json.loads(entry["message"])["message"] for entry in entries]
        sent = (e for e in events if e["method"] == "Network.requestWillBeSent")
        return [event["params"]["request"]["url"] for event in sent]

    def screenshot(self, target: Path) -> None:
        """Write what is to be seen as a PNG."""
        target.write_bytes(base64.b64decode(self.call("GET", "screenshot")))


@contextmanager
def browser(profile: Path) -> Iterator[Browser]:
    """Start a browser on a new profile, and end it with all its processes."""
    assert CHROMIUM is not None
    assert DRIVER is not None
    process = subprocess.Popen(
        [DRIVER, "--port=0"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    try:
        port = next(
            m[1] for line in process.stdout if (m := re.search(r"successfully on port (\d+)", line))
        )
        options = {"binary": CHROMIUM, "args": [*FLAGS, f"--user-data-dir={profile}"]}
        logged = {"browser": "ALL", "performance": "ALL"}
        wanted = {"goog:chromeOptions": options, "goog:loggingPrefs": logged}
        address = f"http://127.0.0.1:{port}/session"
        with httpx.Client(timeout=PATIENCE_S, trust_env=False) as client:
            body = {"capabilities": {"alwaysMatch": wanted}}
            session = client.post(address, json=body).json()["value"]
            assert "sessionId" in session, session
            client.base_url = httpx.URL(f"{address}/{session['sessionId']}/")
            window = Browser(client)
            try:
                window.call("POST", "url", {"url": "about:blank"})
                yield window
            finally:
                client.delete(f"{address}/{session['sessionId']}")
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()
