"""What was read from SQL is remembered while it holds, and no longer."""

from collections.abc import Iterator
from contextvars import copy_context
from pathlib import Path

import pytest

from tenshot.index.catalog import Catalog
from tenshot.index.errors import NotFound
from tenshot.index.records import KeyRecord


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'tenshot.db'}"


@pytest.fixture
def catalog(url: str) -> Iterator[Catalog]:
    with Catalog.open(url) as catalog:
        yield catalog


@pytest.fixture
def other(url: str) -> Iterator[Catalog]:
    """As another process has it."""
    with Catalog.open(url) as catalog:
        yield catalog


def _add(catalog: Catalog, hash: str) -> KeyRecord:
    return catalog.keys.add(f"id-{hash}", hash, None, "", ["All"])


def test_what_is_remembered_is_the_same_object(catalog: Catalog) -> None:
    _add(catalog, "h")
    assert catalog.keys.find("h") is catalog.keys.find("h")


def test_a_commit_by_anybody_is_seen_by_the_next_read(catalog: Catalog, other: Catalog) -> None:
    assert catalog.keys.find("h") is None
    _add(other, "h")
    assert catalog.keys.find("h") is not None
    other.keys.revoke("id-h")
    found = catalog.keys.find("h")
    assert found is not None
    assert found.revoked_at is not None


def test_a_moment_sees_its_own_process_at_once_and_others_from_the_next_moment_on(
    catalog: Catalog, other: Catalog
) -> None:
    def request() -> None:
        catalog.begin_moment()
        assert catalog.keys.find("theirs") is None
        _add(other, "theirs")
        assert catalog.keys.find("theirs") is None
        _add(catalog, "ours")
        assert catalog.keys.find("ours") is not None
        assert catalog.keys.find("theirs") is not None

    def next_request() -> None:
        catalog.begin_moment()
        assert catalog.keys.find("theirs") is not None

    copy_context().run(request)
    copy_context().run(next_request)


def test_a_write_that_failed_leaves_what_holds(catalog: Catalog) -> None:
    with pytest.raises(NotFound):
        catalog.keys.revoke("nobody")
    assert catalog.keys.find("nobody") is None
