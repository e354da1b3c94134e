"""What a strategy gave is refused unless it is what it was asked for."""

from __future__ import annotations

import numpy as np
import pytest

from strategies.query.strategy import checked


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        ([0, 1, 2], "its select gave list; accepted is a numpy array of whole numbers"),
        (None, "its select gave NoneType; accepted is a numpy array"),
        (
            np.array([0.0, 1.0, 2.0]),
            r"gave float64 of shape \(3,\); accepted is a numpy array of wh",
        ),
        (np.array([True, False, True]), r"gave bool of shape \(3,\); accepted is"),
        (np.array([[0], [1], [2]]), r"of shape \(3, 1\); accepted is .* with one axis"),
        (np.array([0, 1]), "its select gave 2 rows; accepted is 3, as it was asked for"),
        (np.array([0, 1, 2, 3]), "its select gave 4 rows; accepted is 3"),
        (np.array([0, 9, 5]), "its select gave row 9; accepted is 0 to 8"),
        (np.array([0, -1, 5]), "its select gave row -1; accepted is 0 to 8"),
        (np.array([4, 4, 4]), "its select gave 2 of 3 rows again; accepted is each row once"),
    ],
)
def test_another_answer_than_was_asked_for_is_refused(rows: object, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence) as refused:
        checked(rows, 3, 9)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("dtype", [np.int64, np.int32, np.uint8])
def test_whole_numbers_of_any_width_are_taken_in_their_order(dtype: type) -> None:
    assert checked(np.array([8, 0, 3], dtype), 3, 9).tolist() == [8, 0, 3]
    assert checked(np.array([8, 0, 3], dtype), 3, 9).dtype == np.int64


def test_of_nothing_asked_for_an_empty_array_is_right() -> None:
    assert checked(np.array([]), 0, 9).dtype == np.int64
