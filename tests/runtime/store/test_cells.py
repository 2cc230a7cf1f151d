"""The cell store: compare-and-set, one transaction a batch, exact values."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from metanode.errors import LocalFault, UserError
from metanode.runtime.store.cells import CellStore, CellWrite, Index, Value
from tests.runtime.support import NODE_ID

EVENT = b"\x01" * 32
INTEGERS = st.integers(-(2**63), 2**63 - 1)
VALUES = st.none() | st.booleans() | INTEGERS | st.text(max_size=8) | st.binary(max_size=8)
INDEXES = st.lists(st.binary(max_size=4) | INTEGERS | st.text(max_size=4), max_size=3).map(tuple)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[CellStore]:
    """An empty store in which ``status`` starts as PENDING."""
    made = CellStore.create(tmp_path / "events.sqlite", NODE_ID, {"status": "PENDING"})
    yield made
    made.close()


def test_batch_is_written_and_read_back(store: CellStore, tmp_path: Path) -> None:
    """Catches values that change type or index on their way to the disk and back."""
    store.apply(
        [
            CellWrite("status", (EVENT,), "PENDING", "IN_PROGRESS", b"document"),
            CellWrite("attempt", (EVENT, 3), None, 7),
            CellWrite("flag", (), None, False),
            CellWrite("attempt", (EVENT, 3), 7, 8),
        ]
    )
    store.close()
    again = CellStore.open(tmp_path / "events.sqlite", NODE_ID, {"status": "PENDING"})
    assert again.load() == {
        "status": {(EVENT,): "IN_PROGRESS"},
        "attempt": {(EVENT, 3): 8},
        "flag": {(): False},
    }
    assert again.attachment("status", (EVENT,)) == b"document"
    assert again.attachment("attempt", (EVENT, 3)) is None
    assert again.load_attachments() == {"status": {(EVENT,): b"document"}}
    again.close()


def test_wrong_before_undoes_the_batch(store: CellStore) -> None:
    """Catches a lost update: two readers of one value, of whom the later must fail whole."""
    store.apply([CellWrite("status", (EVENT,), "PENDING", "SUCCESS")])
    before = store.load()
    with pytest.raises(LocalFault, match="expected 'PENDING', the disk holds 'SUCCESS'"):
        store.apply(
            [
                CellWrite("other", (), None, 1, b"attachment"),
                CellWrite("status", (EVENT,), "PENDING", "FAILED"),
            ]
        )
    assert store.load() == before
    assert store.load_attachments() == {}


@pytest.mark.parametrize(("stored", "claimed"), [(True, 1), (0, False), ("", None), (b"", "")])
def test_values_are_compared_exactly(store: CellStore, stored: Value, claimed: Value) -> None:
    """Catches a comparison by Python's ==, to which True is 1."""
    store.apply([CellWrite("x", (), None, stored)])
    with pytest.raises(LocalFault):
        store.apply([CellWrite("x", (), claimed, "next")])


def test_first_value_stands_for_a_missing_row(store: CellStore) -> None:
    """Catches a first write that must pretend the cell was none."""
    with pytest.raises(LocalFault):
        store.apply([CellWrite("status", (EVENT,), None, "IN_PROGRESS")])
    store.apply([CellWrite("status", (EVENT,), "PENDING", "IN_PROGRESS")])


@pytest.mark.parametrize("value", [1.5, 2**63, -(2**63) - 1, [1], (1,), {}, bytearray(b"x")])
def test_other_types_are_refused(store: CellStore, value: object) -> None:
    """Catches a value that CBOR would store and hand back as something else."""
    with pytest.raises(LocalFault):
        store.apply([CellWrite("x", (), None, value)])  # type: ignore[arg-type]  # on purpose
    with pytest.raises(LocalFault):
        store.apply([CellWrite("x", (value,), None, 1)])  # type: ignore[arg-type]  # on purpose
    assert store.load() == {}


@given(writes=st.lists(st.tuples(st.sampled_from("abc"), INDEXES, VALUES), max_size=12))
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_store_agrees_with_a_dictionary(
    tmp_path_factory: pytest.TempPathFactory, writes: list[tuple[str, Index, Value]]
) -> None:
    """Catches indexes that collide and values that are not kept, over random batches."""
    store = CellStore.create(tmp_path_factory.mktemp("cells") / "events.sqlite", NODE_ID)
    model: dict[str, dict[Index, Value]] = {}
    for cell, index, after in writes:
        before = model.get(cell, {}).get(index)
        store.apply([CellWrite(cell, index, before, after)])
        model.setdefault(cell, {})[index] = after
    assert store.load() == model
    store.close()


def test_missing_store_is_not_made_anew(tmp_path: Path) -> None:
    """Catches an open that silently starts from nothing."""
    with pytest.raises(UserError, match="event store missing"):
        CellStore.open(tmp_path / "events.sqlite", NODE_ID)
    assert not (tmp_path / "events.sqlite").exists()
