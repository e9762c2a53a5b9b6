"""A short run of `fuzz_bodies.py`; `make soak` does the long one."""

from fuzz_bodies import fuzz, target


def test_no_body_with_long_lists_gets_a_server_error_or_much_memory() -> None:
    with target() as server:
        report = fuzz(server, requests=300, clients=2, largest=16_000_000, seed=0)
    assert report.failures == []
    assert sum(report.statuses.values()) == 300
    assert report.statuses["200"] > 20
    assert report.statuses["400"] > 100
    assert report.factor < 10
