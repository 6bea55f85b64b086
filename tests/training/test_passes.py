import pytest

from training.passes import cut_into_passes

WIDTHS = [5, 50, 7, 30, 30, 12, 90, 6]


@pytest.mark.parametrize("processes", [1, 2, 3, 8, 16])
@pytest.mark.parametrize("packed", [False, True])
def test_every_process_has_as_many_passes_and_every_example_is_in_one(processes: int, packed: bool) -> None:
    rounds = cut_into_passes(WIDTHS, 64, processes, packed)
    assert all(len(shares) == processes for shares in rounds)
    flat = [share for shares in rounds for share in shares]
    assert sorted(i for share in flat for i in share) == list(range(8))
    for share in flat:
        size = sum(WIDTHS[i] for i in share) if packed else len(share) * max((WIDTHS[i] for i in share), default=0)
        assert size <= 64 or len(share) == 1
    assert rounds[0][0], "what fills an empty pass is taken from here"


def test_rows_of_similar_length_come_together() -> None:
    # The longest is alone; 2 x 30 fit in 64, and so do 4 x 12; by hand from the widths in order 90 50 30 30 12 7 6 5.
    assert cut_into_passes(WIDTHS, 64, 1) == [[[6]], [[3, 4]], [[1]], [[5, 2, 7, 0]]]


def test_packing_fills_passes_first_fit_decreasing() -> None:
    # 90 alone; 50 + 12 = 62; 30 + 30 = 60; 7 + 6 + 5 = 18 fit nowhere above.
    assert cut_into_passes(WIDTHS, 64, 1, packed=True) == [[[6]], [[1, 5]], [[3, 4]], [[2, 7, 0]]]
