from cart import items


def test_reading_changes_nothing():
    assert items() == items()
