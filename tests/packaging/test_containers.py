"""Container file and compose file: what can be tried of them without a container."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from metanode.devnet.local_network import free_ports
from tests.integration.support import wait_until
from tests.packaging.support import BARE, ROOT, Installed

FOLDER = ROOT / "tools" / "packaging"
# Lines that go on count as one; comments are none.
TEXT = re.sub(r"(?m)^\s*#.*\n", "", (FOLDER / "Containerfile").read_text()).replace("\\\n", " ")
LINES = [line.split(maxsplit=1) for line in TEXT.splitlines() if line.strip()]
NODE = LINES[max(n for n, line in enumerate(LINES) if line[0] == "FROM"):]


def words(instruction: str) -> list[str]:
    """Return what an instruction of the node's image says as a list of words."""
    (found,) = (rest for name, rest in NODE if name == instruction)
    said: list[str] = json.loads(found.partition("CMD")[2] if "CMD" in found else found)
    return said


def compose() -> dict[str, Any]:
    """Return the compose file."""
    yaml = pytest.importorskip("yaml")
    read: dict[str, Any] = yaml.safe_load((FOLDER / "compose.yaml").read_text())
    return read


@pytest.fixture
def node(installed: Installed, tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A node as the image starts it, with a home as the manual has it made."""
    port, nobody = free_ports(2)
    made = installed.run(
        "metanode", "init", "--home", "home", "--preset", "devnet", "--keygen-until", 1,
        "--listen", f"[::]:{port}", "--rpc-url", f"http://localhost:{nobody}",
        "--stake-outpoint", "ab" * 32 + ":0", "--new-passphrase-file", "passphrase",
    )
    assert made.returncode == 0, made.stderr
    process = installed.start(tmp_path / "output", *words("ENTRYPOINT"), *words("CMD"))
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def test_the_health_check_tells_a_node_that_answers(
    installed: Installed, node: subprocess.Popen[bytes]
) -> None:
    """Catches a check that no node passes, or that one passes which has ended."""
    admin = installed.folder / "home" / "admin.json"
    wait_until("an admin port", lambda: admin.exists() or node.poll() is not None)
    check = words("HEALTHCHECK")
    for expected in (True, False):
        done = subprocess.run(
            installed.command(*check), cwd=installed.folder, env=BARE | {"http_proxy": "nowhere"},
            capture_output=True, text=True, check=False,
        )
        assert (done.returncode == 0) == expected, done.stderr
        node.kill()
        node.wait()


def test_what_is_copied_is_there_and_nobody_is_root() -> None:
    """Catches a build that fails in its first minute, and a program that runs as root."""
    for name, rest in LINES:
        if name == "COPY" and not rest.startswith("--from"):
            assert all((ROOT / source).exists() for source in rest.split()[:-1]), rest
    assert ["USER", "10001:10001"] in NODE
    stages = [rest.split() for name, rest in LINES if name == "FROM"]
    assert all(base == "${BASE}" or base == "${DAEMON_BASE}" for base, _, _ in stages)
    bases = dict(rest.split("=", 1) for name, rest in LINES if name == "ARG")
    assert all(re.fullmatch(r"[\w./]+:[\w.-]+", base) for base in bases.values())
    assert not any(base.endswith(":latest") for base in bases.values())


def test_the_image_has_the_versions_of_the_lock(tmp_path: Path) -> None:
    """Catches an image with whatever versions the day brings, none of which was ever tested."""
    (program,) = re.findall(r"RUN (sed -n .*?) >", TEXT)
    done = subprocess.run(
        ["sh", "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    pinned = {line.split("==")[0] for line in done.stdout.splitlines() if "==" in line}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    needed = {re.split(r"[\[><=]", name)[0] for name in project["dependencies"]}
    assert len(needed) > 15
    assert needed <= pinned
    assert "--hash" not in done.stdout


def test_compose_starts_four_closed_nodes_and_a_daemon() -> None:
    """Catches a node that is left open, shares another's volume, or starts for ever in vain."""
    read = compose()
    services = read["services"]
    targets = {rest.split()[-1] for name, rest in LINES if name == "FROM"}
    nodes = [name for name in services if name.startswith("node")]
    assert len(nodes) == 4
    for name, service in services.items():
        build = service["build"]
        assert build["target"] in targets, name
        assert (FOLDER / build["context"]).resolve() == ROOT
        assert (ROOT / build["dockerfile"]).is_file()
        assert service["read_only"]
        assert service["cap_drop"] == ["ALL"]
        assert "ports" not in service
        assert "max-size" in service["logging"]["options"]
        assert {each.split(":")[0] for each in service["volumes"]} <= set(read["volumes"])
    assert all(services[name]["restart"] == "on-failure:5" for name in nodes)
    assert len({services[name]["volumes"][0] for name in nodes}) == 4


@pytest.mark.skipif(shutil.which("hadolint") is None, reason="hadolint is not installed")
def test_hadolint_finds_nothing() -> None:
    """Catches what is known to go wrong in container files."""
    done = subprocess.run(
        ["hadolint", FOLDER / "Containerfile"], capture_output=True, text=True, check=False
    )
    assert done.stdout == ""


def test_the_daemon_takes_the_options_of_compose(tmp_path: Path) -> None:
    """Catches a misspelt option, for which the daemon does not start."""
    program = shutil.which("litecoind")
    if program is None:
        pytest.skip("litecoind is not installed")
    known = subprocess.run(
        [program, "-help", "-help-debug"], capture_output=True, text=True, check=True
    ).stdout
    entry = next(json.loads(rest) for name, rest in LINES if name == "ENTRYPOINT")
    for option in [*entry[1:], *compose()["services"]["litecoind"]["command"]]:
        assert re.search(rf"^  {re.escape(option.split('=')[0])}\b", known, re.MULTILINE), option
