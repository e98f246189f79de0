"""Names as many as there is room for, and how many more there are."""

from __future__ import annotations

from collections.abc import Sequence

from adapters.drafters.amounts import decimal
from adapters.drafters.catalog import Catalog
from adapters.drafters.lists import enumerated, listed


def named(names: Sequence[str], most: int, catalog: Catalog, locale: str, form: str = "") -> str:
    """The names as a list, cut to `most` with the number of the others.

    `form` picks the endings that the rest of a list takes in a sentence.
    """
    if len(names) <= most:
        return listed(names, locale)
    left = len(names) - most
    key = "and_one_more" if left == 1 else "and_more"
    return catalog.phrase(
        f"{key}{form}",
        key,
        locale=locale,
        list=enumerated(names[:most], locale),
        count=decimal(left, locale),
    )
