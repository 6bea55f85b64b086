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
    assert all(shares[0] for shares in rounds), "what fills an empty pass is taken from here"


def test_rows_of_similar_length_come_together() -> None:
    # The longest is alone; 2 x 30 fit in 64, and so do 4 x 12; by hand from the widths in order 90 50 30 30 12 7 6 5.
    assert cut_into_passes(WIDTHS, 64, 1) == [[[6]], [[3, 4]], [[1]], [[5, 2, 7, 0]]]


def test_packing_puts_the_longest_first_each_into_the_emptiest_pass() -> None:
    # 64 + 50 + 60 + 12 + 18 = 204 tokens, of 90 only 64, need four passes: 90, 50, 30 and 30. 12 joins the first 30,
    # 7 and 6 the second (43), and 5 the first again (47).
    assert cut_into_passes(WIDTHS, 64, 1, packed=True) == [[[6]], [[1]], [[3, 5, 0]], [[4, 2, 7]]]


@pytest.mark.parametrize("packed", [False, True])
def test_equal_examples_are_shared_out_equally(packed: bool) -> None:
    (shares,) = cut_into_passes([200] * 160, 7992, 8, packed)
    assert [len(share) for share in shares] == [20] * 8


def test_padded_passes_are_equal_in_tokens_and_not_in_rows() -> None:
    (shares,) = cut_into_passes([100] * 2 + [10] * 20, 400, 2)
    assert [len(share) for share in shares] == [2, 20]


def test_thousands_that_go_in_ones_make_no_empty_round() -> None:
    # 4,000 of 8,000 tokens are taken together, 4,200 are not: a pass each, though their tokens would fill 525.
    rounds = cut_into_passes([4200] * 1000, 8000, 8, packed=True)
    assert [len(share) for shares in rounds for share in shares] == [1] * 1000
