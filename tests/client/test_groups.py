import numpy as np
import pytest

from client.groups import group_names
from common.errors import SettingsError
from common.study import Feature, GroupRule, Study, TaskRule


def study(*groups: GroupRule) -> Study:
    return Study(
        name="s",
        features=(
            Feature(name="age"),
            Feature(name="sex", kind="category", categories=("F", "M")),
            Feature(name="smokes", kind="binary"),
        ),
        tasks=(TaskRule(name="t", column="y"),),
        groups=groups,
    )


VALUES = {
    "age": np.array([59.9, 60.0, np.nan]),
    "sex": np.array([0.0, np.nan, 1.0]),
    "smokes": np.array([1.0, 0.0, np.nan]),
}


def test_a_group_is_named_by_its_edges_and_categories() -> None:
    rules = (GroupRule(column="age", edges=(60,)), GroupRule(column="sex"))
    assert group_names(VALUES, study(*rules)).tolist() == [
        "age < 60, sex = F",
        "age >= 60, sex unknown",
        "age unknown, sex = M",
    ]


def test_several_edges_make_ranges_in_order() -> None:
    names = group_names(VALUES, study(GroupRule(column="age", edges=(60, 18))))
    assert names.tolist() == ["18 <= age < 60", "age >= 60", "age unknown"]


def test_a_yes_or_no_feature_divides_by_its_answer() -> None:
    names = group_names(VALUES, study(GroupRule(column="smokes")))
    assert names.tolist() == ["smokes = yes", "smokes = no", "smokes unknown"]


def test_without_rules_all_patients_are_in_one_group_without_name() -> None:
    assert group_names(VALUES, study()).tolist() == ["", "", ""]


@pytest.mark.parametrize(
    "rule",
    [
        GroupRule(column="weight", edges=(80,)),
        GroupRule(column="age"),
        GroupRule(column="sex", edges=(0.5,)),
    ],
)
def test_a_rule_that_cannot_divide_is_refused_by_name(rule: GroupRule) -> None:
    with pytest.raises(SettingsError, match=f"{rule.column} cannot divide patients"):
        group_names(VALUES, study(rule))
