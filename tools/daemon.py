"""Run a real chain daemon (litecoind or Bitcoin Core) on regtest by hand, ready to use.

It has a wallet, coins that can be spent and, on request, MWEB. ``METANODE_DAEMON`` names the
binary; without it litecoind is taken from the path, or else bitcoind.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from attrs import field, frozen

from metanode.devnet.daemon import Daemon, DaemonError, find_program


@frozen
class Options:
    """What the command line asks for."""

    directory: Path | None
    mweb: bool
    cookie: bool
    settings: dict[str, str] = field(factory=dict)


def _options(arguments: Sequence[str]) -> Options:
    parser = argparse.ArgumentParser(prog="tools/daemon", description=__doc__)
    parser.add_argument("--directory", type=Path, help="where it lives (default: a temporary one)")
    parser.add_argument("--mweb", action="store_true", help="Litecoin: coins in active MWEB")
    parser.add_argument("--cookie", action="store_true", help="a cookie file, not a password")
    parser.add_argument("settings", nargs="*", metavar="NAME=VALUE", help="e.g. txindex=0")
    given = parser.parse_args(arguments)
    wrong = [text for text in given.settings if "=" not in text]
    if wrong:
        parser.error(f"{wrong[0]!r} is not NAME=VALUE")
    settings = dict(text.split("=", 1) for text in given.settings)
    return Options(given.directory, given.mweb, given.cookie, settings)


def run(options: Options, directory: Path) -> None:
    """Run the daemon in a folder until SIGINT or SIGTERM."""
    program = find_program()
    if program is None:
        raise DaemonError("no daemon: apt-get install litecoind, or set METANODE_DAEMON")
    if options.mweb and program.family != "litecoin":
        raise DaemonError(f"{program.path} has no MWEB")
    secret = directory / "rpc-password"
    password = None
    if not options.cookie:
        secret.touch(mode=0o600)
        password = secret.read_text(encoding="utf-8") or os.urandom(16).hex()
        secret.write_text(password, encoding="utf-8")
    daemon = Daemon(program, directory, password=password, settings=options.settings)
    try:
        for wanted in (signal.SIGINT, signal.SIGTERM):
            signal.signal(wanted, signal.default_int_handler)
        daemon.start()
        daemon.prepare(mweb=options.mweb)
        print(f"{program.version}\nheight    {daemon.call('getblockcount')}")
        print(f"url       {daemon.url}\nuser      {daemon.credentials()[0]}")
        print(f"password  {daemon.cookie if password is None else secret}", flush=True)
        signal.pause()
    except KeyboardInterrupt:
        return
    finally:
        daemon.close()


def main(arguments: Sequence[str]) -> int:
    """Run the command line; exit code 2 and one line when it cannot be done."""
    options = _options(arguments)
    try:
        if options.directory is not None:
            options.directory.mkdir(parents=True, exist_ok=True)
            run(options, options.directory.resolve())
        else:
            with tempfile.TemporaryDirectory(prefix="daemon-") as temporary:
                run(options, Path(temporary))
    except DaemonError as fault:
        print(f"error: {fault}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
