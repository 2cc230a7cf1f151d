"""What is built once for all tests of a module."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.packaging.support import ROOT, Installed, build, install, unpacked


@pytest.fixture(scope="package")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source tree as an sdist brings it, in a folder with spaces in its name."""
    place = tmp_path_factory.mktemp("source tree")
    return unpacked(build("sdist", ROOT, place / "built"), place / "un packed")


@pytest.fixture(scope="package")
def wheel(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel that is built from the sdist."""
    return build("wheel", source, tmp_path_factory.mktemp("a wheel") / "built")


@pytest.fixture(scope="package")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """An environment with that wheel."""
    return install(wheel, tmp_path_factory.mktemp("an installation"))
