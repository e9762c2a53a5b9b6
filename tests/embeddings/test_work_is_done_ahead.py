import threading
from collections.abc import Iterator

import pytest

from tenshot.runtime.parallel import ahead, batches


def test_batches_are_taken_when_asked_for() -> None:
    source = iter(range(7))
    taken = batches(source, 3)
    assert next(taken) == [0, 1, 2]
    assert next(source) == 3
    assert list(taken) == [[4, 5, 6]]


def test_the_next_is_made_while_the_last_is_used() -> None:
    begun = {number: threading.Event() for number in range(5)}

    def square(number: int) -> int:
        begun[number].set()
        return number * number

    seen = []
    for square_of in ahead(square, range(5)):
        seen.append(square_of)
        assert len(seen) == 5 or begun[len(seen)].wait(10)
        assert len(seen) > 3 or not begun[len(seen) + 1].is_set()  # one ahead, not more
    assert seen == [0, 1, 4, 9, 16]


@pytest.mark.parametrize("count", [0, 1])
def test_none_and_one_are_no_special_case(count: int) -> None:
    assert list(ahead(str, range(count))) == ["0"][:count]


def test_an_error_of_the_source_or_of_the_work_comes_in_its_turn() -> None:
    def source() -> Iterator[int]:
        yield from (1, 2)
        raise OSError("the disk is gone")

    made = ahead(float, source())
    assert (next(made), next(made)) == (1.0, 2.0)
    with pytest.raises(OSError, match="the disk is gone"):
        next(made)
    with pytest.raises(ZeroDivisionError):
        list(ahead(lambda number: 1 / number, [1, 0, 1]))


def test_the_source_is_read_in_the_callers_thread() -> None:
    def source() -> Iterator[int]:
        for _ in range(3):
            yield threading.get_ident()

    assert set(ahead(lambda thread: thread, source())) == {threading.get_ident()}
