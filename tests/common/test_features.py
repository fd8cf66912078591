import numpy as np
import pytest

from common.features import allowed_inputs, encode, input_names, num_inputs
from common.study import Feature, TaskRule

NAN = float("nan")


def column(feature: Feature, *values: float) -> list[list[float]]:
    encoded = encode({feature.name: np.array(values)}, [feature])
    return [[float(v) for v in row] for row in encoded]


def test_the_usual_range_becomes_minus_two_to_two_and_missing_its_middle() -> None:
    age = Feature(name="age", usual=(20, 80))
    # 50 is the middle of 20..80; 80 lies two standard deviations above it.
    assert column(age, 20, 50, 80, NAN) == [[-2, 1], [0, 1], [2, 1], [0, 0]]


def test_log_scaling_puts_the_geometric_middle_at_zero() -> None:
    tsh = Feature(name="tsh", usual=(0, 3), log=True, may_be_missing=False)
    # log(1 + 1) is half of log(1 + 3).
    assert column(tsh, 1.0)[0] == pytest.approx([0.0], abs=1e-6)


def test_an_implausible_value_counts_as_missing() -> None:
    age = Feature(name="age", usual=(20, 80), plausible=(0, 110))
    assert column(age, 455.0, 110.0)[0] == [0, 0]
    assert column(age, 110.0)[0][1] == 1


def test_extreme_values_are_cut_off_so_that_one_typing_error_cannot_dominate() -> None:
    assert column(Feature(name="x", may_be_missing=False), 1e9, -1e9) == [[10], [-10]]


def test_a_category_is_one_column_a_value_and_all_zero_when_missing() -> None:
    cp = Feature(name="cp", kind="category", categories=(1, 2, 3))
    assert column(cp, 0, 2, NAN) == [[1, 0, 0], [0, 0, 1], [0, 0, 0]]


def test_a_binary_feature_is_centred() -> None:
    flag = Feature(name="sick", kind="binary", may_be_missing=False)
    assert column(flag, 0, 1) == [[-0.5], [0.5]]


def test_names_and_counts_agree_with_the_columns() -> None:
    features = [
        Feature(name="age"),
        Feature(name="sick", kind="binary", may_be_missing=False),
        Feature(name="cp", kind="category", categories=(1, "x")),
    ]
    assert input_names(features) == ["age", "age measured", "sick", "cp = 1", "cp = x"]
    values = {f.name: np.zeros(3) for f in features}
    assert encode(values, features).shape == (3, num_inputs(features))


def test_a_forbidden_feature_hides_its_indicator_too() -> None:
    features = [Feature(name="tbg"), Feature(name="age")]
    task = TaskRule(name="raised TBG", column="s", forbidden=("tbg",))
    assert allowed_inputs(features, task).tolist() == [False, False, True, True]
