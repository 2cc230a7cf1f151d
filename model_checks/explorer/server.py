"""The page's server: on the loopback address, for whoever has the token, with bounded requests.

A page of another site cannot ask it anything: it does not know the token, its name for this machine
is not one of the two that are served (which stops names that are pointed here later), and what it
posts is refused by its origin.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
import socketserver
import sys
from base64 import b64encode
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock
from typing import Any
from urllib.parse import parse_qs, urlsplit

from model_checks.console import Unusable
from model_checks.explorer.view import Answer, Refused, View

ADDRESS = "127.0.0.1"
MAX_BODY_OCTETS = 1 << 18
PATIENCE_S = 10.0
"""So long may a browser take to send its question."""
HERE = Path(__file__).resolve().parent
STYLES = (HERE.parent / "report" / "style.css", HERE / "explorer.css")


class Server(ThreadingHTTPServer):
    """Serves one view; questions are answered one at a time."""

    daemon_threads = True

    def __init__(self, view: View, port: int = 0) -> None:
        self.view, self.lock = view, Lock()
        self.token = secrets.token_urlsafe(18)
        self.page, self.policy = page()
        try:
            super().__init__((ADDRESS, port), Handler)
        except (OSError, OverflowError) as error:
            said = getattr(error, "strerror", None) or "give a number from 0 to 65535"
            raise Unusable(f"--port {port}: {said}") from None
        self.hosts = {f"{name}:{self.server_port}" for name in (ADDRESS, "localhost")}

    @property
    def url(self) -> str:
        """The address of the page, with its token."""
        return f"http://{ADDRESS}:{self.server_port}/?token={self.token}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say in one line what went wrong; a browser that goes away is nothing."""
        error = sys.exception()
        if not isinstance(error, ConnectionError | TimeoutError):
            sys.stderr.write(f"explorer: {type(error).__name__}: {error}\n")


class Handler(BaseHTTPRequestHandler):
    """One request."""

    server_version, sys_version = "explorer", ""
    timeout = PATIENCE_S

    @property
    def served(self) -> Server:
        """The server, by its own type."""
        server: socketserver.BaseServer = self.server
        if not isinstance(server, Server):
            raise TypeError("a handler of another server")
        return server

    def do_GET(self) -> None:
        """Answer with the page."""
        if self._is_allowed("/"):
            self._send(HTTPStatus.OK, "text/html; charset=utf-8", self.served.page)

    def do_POST(self) -> None:
        """Answer a question of the page."""
        if not self._is_allowed("/ask"):
            return
        try:
            question = self._question()
            with self.served.lock:
                answer = self._answer(question)
        except Refused as error:
            self._refuse(HTTPStatus.BAD_REQUEST, str(error))
            return
        body = json.dumps(answer).encode()
        self._send(HTTPStatus.OK, "application/json", body)

    def _is_allowed(self, path: str) -> bool:
        """Refuse what is not asked by the page itself."""
        asked = urlsplit(self.path)
        origin = self.headers.get("Origin")
        if self.headers.get("Host") not in self.served.hosts:
            self._refuse(HTTPStatus.FORBIDDEN, f"only {ADDRESS} is served")
        elif origin is not None and origin.removeprefix("http://") not in self.served.hosts:
            self._refuse(HTTPStatus.FORBIDDEN, "another page may not ask")
        elif asked.path != path:
            self._refuse(HTTPStatus.NOT_FOUND, "there is nothing there")
        elif not hmac.compare_digest(
            parse_qs(asked.query).get("token", [""])[0].encode(), self.served.token.encode()
        ):
            self._refuse(HTTPStatus.FORBIDDEN, "the address has no token, or another one")
        else:
            return True
        return False

    def _question(self) -> dict[str, Any]:
        if self.headers.get_content_type() != "application/json":
            raise Refused("a question is JSON")
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or int(length) > MAX_BODY_OCTETS:
            raise Refused(f"a question has a length, of at most {MAX_BODY_OCTETS:,} octets")
        try:
            question = json.loads(self.rfile.read(int(length)))
        except (ValueError, RecursionError):
            question = None
        if not isinstance(question, dict):
            raise Refused("a question is a JSON object")
        return question

    def _answer(self, question: dict[str, Any]) -> Answer:
        view = self.served.view
        match question.get("ask"):
            case "about":
                return view.about()
            case "at":
                return view.at(question)
            case "checks":
                return view.checks()
        raise Refused("ask is about, at or checks")

    def _refuse(self, status: HTTPStatus, reason: str) -> None:
        self.close_connection = True
        self._send(status, "application/json", json.dumps({"error": reason}).encode())

    def _send(self, status: HTTPStatus, kind: str, body: bytes) -> None:
        self.send_response(status)
        for name, value in (
            ("Content-Type", kind),
            ("Content-Length", str(len(body))),
            ("Content-Security-Policy", self.served.policy),
            ("Cache-Control", "no-store"),
            ("X-Content-Type-Options", "nosniff"),
            ("Referrer-Policy", "no-referrer"),
            ("Cross-Origin-Resource-Policy", "same-origin"),
        ):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: addresses have the token in them."""


def page() -> tuple[bytes, str]:
    """Return the page with its style and its program in it, and the policy that allows no other."""
    style = "".join(path.read_text(encoding="utf-8") for path in STYLES)
    program = (HERE / "explorer.js").read_text(encoding="utf-8")
    frame = (HERE / "explorer.html").read_text(encoding="utf-8")
    text = frame.replace("/* style */", style).replace("/* program */", program)
    policy = (
        f"default-src 'none'; style-src {_hash(style)}; script-src {_hash(program)}; "
        "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    )
    return text.encode(), policy


def _hash(text: str) -> str:
    return f"'sha256-{b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
