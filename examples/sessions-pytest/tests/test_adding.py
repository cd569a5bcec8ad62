import pytest

from cart import add, items


@pytest.mark.parametrize("item", ["tea", "coffee"])
def test_one_item_is_added(item):
    before = items()
    add(item)
    assert items() == before + 1


def test_two_items_are_added():
    before = items()
    add("tea")
    add("tea")
    assert items() == before + 2
