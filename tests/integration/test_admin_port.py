"""The admin port of a real node, against its own description and a tool that reads nothing else."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from metanode.devnet.local_network import free_ports
from metanode.runtime.home.home import Home
from metanode.runtime.operator.admin import door
from metanode.runtime.operator.openapi import PUBLIC, document
from tests.integration.support import metanode, wait_until

SCHEMATHESIS = Path(sys.executable).with_name("st")
SEED = 7
REFUSED_FOR_ITS_STATE = "positive_data_acceptance"
"""The check that is left out: what a schema allows, a node may refuse for what it knows."""


@pytest.fixture(scope="module")
def lone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """A node without a chain and without peers, running."""
    folder = tmp_path_factory.mktemp("lone")
    port, nobody = free_ports(2)
    home = Home(folder / "node")
    made = metanode(
        "init", "--home", home.path, "--listen", f"127.0.0.1:{port}", "--preset", "devnet",
        "--name", "lone", "--chain", "devnet", "--keygen", "command", "--keygen-until", 1,
        "--stake-outpoint", "ab" * 32 + ":0", "--rpc-url", f"http://127.0.0.1:{nobody}",
        "--new-passphrase-file", folder / "passphrase",
    )
    assert made.returncode == 0, made.stderr
    with open(folder / "output", "wb") as output:
        node = subprocess.Popen(
            [sys.executable, "-m", "metanode", "run", "--home", str(home.path)],
            stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
        )
    try:
        wait_until("an admin port", lambda: home.admin.exists() or node.poll() is not None)
        yield home
        assert node.poll() is None, (folder / "output").read_text()
    finally:
        node.kill()
        node.wait()


def asked(home: Home, method: str, path: str, token: str | None = None) -> httpx.Response:
    """Return the answer to a request."""
    endpoint, _ = door(home)
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    with httpx.Client(trust_env=False, timeout=20) as client:
        return client.request(method, f"http://{endpoint}{path}", headers=headers)


def schemathesis(home: Home, *options: str) -> str:
    """Run it on the node's own description; return what it says, which is nothing bad."""
    endpoint, token = door(home)
    done = subprocess.run(
        [
            str(SCHEMATHESIS), "run", f"http://{endpoint}/openapi.json", "--seed", str(SEED),
            "--max-examples", "10", "--continue-on-failure", "--no-color",
            "--header", f"Authorization: Bearer {token}", *options,
        ],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=100, check=False,
        cwd=home.path.parent,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_what_is_described_is_what_is_answered(lone: Home) -> None:
    """Catches an answer of another shape than the document says, a path without the token that
    should need it, a method that is answered and not described, and a 5xx.
    """
    said = schemathesis(
        lone, "--exclude-path", "/feed", "--exclude-path", "/readyz", "--exclude-checks",
        REFUSED_FOR_ITS_STATE,
    )
    assert "No issues found" in said or " passed" in said
    # Not ready is 503 by its meaning, and no defect.
    schemathesis(lone, "--include-path", "/readyz", "--exclude-checks", "not_a_server_error")


def test_every_path_is_described_and_every_described_path_is_there(lone: Home) -> None:
    """Catches a page or an action that the document forgets, or has made up."""
    _, token = door(lone)
    described = document()
    assert asked(lone, "GET", "/openapi.json").json() == described
    for path, operations in described["paths"].items():
        if path == "/feed":
            continue
        shown = path.format(since="0", event="00" * 32)
        for method, operation in operations.items():
            code = asked(lone, method.upper(), shown, token).status_code
            assert code != 405, (method, path)
            assert str(code) in operation["responses"], (method, path, code)
    told = asked(lone, "GET", "/nothing", token).json()["error"]
    named = {word.strip(", /") for word in told.split() if word.startswith("/")}
    assert named <= {path.split("/")[1] for path in described["paths"]}


def test_without_the_token_there_is_what_is_public_and_nothing_else(lone: Home) -> None:
    """Catches a page that tells a stranger on this machine what the node knows."""
    for path, operations in document()["paths"].items():
        shown = path.format(since="0", event="00" * 32)
        for method in operations:
            answer = asked(lone, method.upper(), shown)
            if path in PUBLIC:
                assert answer.status_code in (200, 503), path
            else:
                assert (answer.status_code, set(answer.json())) == (401, {"error"}), path
                assert answer.headers["WWW-Authenticate"] == "Bearer"
    _, token = door(lone)
    for path in PUBLIC:
        assert token not in asked(lone, "GET", path).text


def test_a_node_without_key_chain_and_links_is_alive_and_not_ready(lone: Home) -> None:
    """Catches a probe that calls a node ready which cannot sign, or one dead that only waits."""
    alive = asked(lone, "GET", "/livez")
    assert (alive.status_code, alive.json()["alive"]) == (200, True)

    def away() -> dict[str, Any] | None:
        ready = asked(lone, "GET", "/readyz")
        assert ready.status_code == 503
        found: dict[str, Any] = ready.json()
        return found if len(found["reasons"]) > 1 else None

    told = wait_until("a chain that is found to be away", away)
    assert told["ready"] is False
    assert [each["code"] for each in told["reasons"]] == ["chain_away", "no_key"]
    assert "127.0.0.1" not in json.dumps(told), "a probe needs no token, and tells no addresses"


def test_the_command_prints_the_address_and_why_the_node_is_not_ready(lone: Home) -> None:
    """Catches an address without the token, and a reason that stays unsaid."""
    endpoint, token = door(lone, "reader")
    done = metanode("page", "--home", lone.path)
    assert (done.returncode, done.stdout) == (0, f"http://{endpoint}/#token={token}\n")
    assert "not ready: there is no key yet" in done.stderr
    shown = json.loads(metanode("page", "--home", lone.path, "--json").stdout)
    assert (shown["url"], shown["answers"], shown["ready"]) == (done.stdout.strip(), True, False)
    assert token not in (lone.path / "node.log").read_text()


def test_the_token_of_the_page_reads_and_changes_nothing(lone: Home) -> None:
    """Catches an address that, passed on or kept by a browser, lets somebody ask for signatures."""
    _, reader = door(lone, "reader")
    _, token = door(lone)
    assert reader != token
    for path, operations in document()["paths"].items():
        if path == "/feed":
            continue
        shown = path.format(since="0", event="00" * 32)
        if "get" in operations:
            assert asked(lone, "GET", shown, reader).status_code in (200, 404, 503), path
        if "post" in operations:
            answer = asked(lone, "POST", shown, reader)
            assert (answer.status_code, "only reads" in answer.json()["error"]) == (403, True)
            assert asked(lone, "POST", shown, token).status_code == 400, "no body"
