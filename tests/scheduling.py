"""Which worker gets which tests when several run: a file goes to one of them, long ones first.

A file's tests share what their module makes once (keys, recorded runs), so a file is not split. The
files that use the one network of real processes count as one, so that there is one such network and
not one for each worker; and those that use the chain daemons. What takes longest begins first; it
mostly waits, and the others compute beside it.
"""

from __future__ import annotations

from collections.abc import Sequence

from xdist.scheduler import LoadScopeScheduling

FOLDER = "tests/integration/"
DAEMONS = "tests/daemons/"
APART = ("test_admin_port.py", "test_bad_input.py", "test_by_command.py")
"""The files of the folder that do not use its network."""

LONG_FIRST = (
    FOLDER,
    DAEMONS,
    "tests/cli/test_demo.py",
    "tests/cli/test_backup.py",
    "tests/model_checks/test_induction.py",
    "tests/protocol/tables/test_runner.py",
    "tests/simulation/",
    "tests/misbehaviour/protocol/",
    "tests/conformance/",
    "tests/model_checks/",
)
"""What begins first: what waits for rounds of real time, then what computes longest."""


def scope_of(nodeid: str) -> str:
    """Return the name of what must stay on one worker with this test."""
    file = nodeid.partition("::")[0]
    if file.startswith(FOLDER) and not file.endswith(APART):
        return FOLDER
    return DAEMONS if file.startswith(DAEMONS) else file


def rank_of(nodeid: str) -> int:
    """Return a test's place in the order of beginning."""
    places = enumerate(LONG_FIRST)
    return next((place for place, start in places if nodeid.startswith(start)), len(LONG_FIRST))


class ByFile(LoadScopeScheduling):
    """Hands out whole files, in the order in which they were collected."""

    def _split_scope(self, nodeid: str) -> str:
        return scope_of(nodeid)

    def add_node_collection(self, node: object, collection: Sequence[str]) -> None:
        """Take a worker's tests, as they are ordered already."""
        self.config.option.loadscopereorder = False
        super().add_node_collection(node, collection)
