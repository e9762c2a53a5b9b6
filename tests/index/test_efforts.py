"""How much effort a search takes: measured for two k, told for all others, and found without trying everything."""

from hypothesis import example, given
from hypothesis import strategies as st

from tenshot.index.vectors.segments.search_parameters import SearchParameters, _first


@given(
    probes=st.tuples(st.integers(1, 200), st.integers(0, 60)),
    candidates=st.tuples(st.integers(10, 1000), st.integers(0, 5000)),
    k=st.integers(1, 3000),
)
def test_effort_is_what_was_measured_and_never_less_for_more_neighbours(
    probes: tuple[int, int], candidates: tuple[int, int], k: int
) -> None:
    few, many = (probes[0], candidates[0]), (sum(probes), sum(candidates))
    effort = SearchParameters((few[0], many[0]), (few[1], many[1]), (0.5,) * 5, (2.0,) * 5, rows=10_000, seconds=0.001)
    assert [effort.at(1), effort.at(10), effort.at(100)] == [few, few, many]
    now, then = effort.at(k), effort.at(k + 1)
    assert now is not None
    assert then is not None
    assert now[0] <= then[0]
    assert now[1] <= then[1]


def test_where_only_few_neighbours_could_be_measured_for_more_all_rows_are_looked_at() -> None:
    effort = SearchParameters((3,), (60,), (0.5,) * 5, (2.0,) * 5, rows=10_000, seconds=0.001)
    assert effort.at(10) == (3, 60)
    assert effort.at(11) is None


@given(count=st.integers(1, 40), least=st.integers(0, 40))
@example(count=16, least=16)
def test_the_first_that_suffices_is_found_and_few_are_asked(count: int, least: int) -> None:
    asked = list[int]()

    def suffices(place: int) -> bool:
        asked.append(place)
        return place >= least

    assert _first(count, suffices) == min(least, count)
    assert max(asked) < count
    assert len(set(asked)) <= 2 * count.bit_length()
