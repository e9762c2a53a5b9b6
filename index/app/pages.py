"""Pages of lists."""

from ..bounds import check_count

_MOST_ROWS = 1 << 62
"""What SQL counts to, and more than there are."""


def offset(page: int, per_page: int) -> tuple[int, int]:
    """How many items come before a page, and how many it has at most; as SQL can count. Raises BadRequest."""
    page, per_page = check_count(page, "page"), check_count(per_page, "per_page")
    return min((page - 1) * per_page, _MOST_ROWS), min(per_page, _MOST_ROWS)
