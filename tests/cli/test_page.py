"""``page``: the address of a node that runs, and what is said of one that does not."""

from __future__ import annotations

import json
import socket
from pathlib import Path

from tests.cli.conftest import Run


def admin(home: Path, port: int) -> None:
    """Write what a running node writes."""
    path = home / "admin.json"
    tokens = {"token": "ALL", "reader": "T0K"}
    path.write_text(json.dumps({"host": "127.0.0.1", "port": port, **tokens}))
    path.chmod(0o600)


def test_without_a_node_there_is_no_address(run: Run, tmp_path: Path) -> None:
    """Catches an address that leads nowhere, and a token of a node that is gone."""
    for home, says in ((tmp_path, "no node runs on"), (tmp_path / "none", "no home at")):
        code, out, err = run("page", "--home", home)
        assert (code, out) == (2, "")
        assert says in err
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        admin(tmp_path, unused.getsockname()[1])
        code, out, err = run("page", "--home", tmp_path, "--json")
    assert (code, out) == (2, "")
    assert "no node runs on" in err


def test_a_node_that_hangs_has_an_address_and_another_exit_code(
    run: Run, tmp_path: Path
) -> None:
    """Catches an exit code that calls a node good which does not answer."""
    with socket.socket() as hung:
        hung.bind(("127.0.0.1", 0))
        hung.listen()
        hung.settimeout(0)
        admin(tmp_path, hung.getsockname()[1])
        code, out, err = run("page", "--home", tmp_path)
        assert code == 1
        assert out == f"http://127.0.0.1:{hung.getsockname()[1]}/#token=T0K\n"
        assert "does not answer" in err
        code, out, _ = run("page", "--home", tmp_path, "--json")
        assert (code, json.loads(out)["answers"]) == (1, False)


def test_an_admin_file_that_others_may_read_is_refused(run: Run, tmp_path: Path) -> None:
    """Catches a token that is used although everybody could have read it."""
    admin(tmp_path, 1)
    (tmp_path / "admin.json").chmod(0o644)
    code, out, err = run("page", "--home", tmp_path)
    assert (code, out) == (2, "")
    assert "T0K" not in err
