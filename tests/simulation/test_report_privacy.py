"""What the report says of privacy."""

import pytest

from simulation.report import report_html
from tests.simulation.small_results import make_results

pytestmark = pytest.mark.usefixtures("no_pictures")


def test_privacy_names_profile_price_and_what_is_not_protected() -> None:
    text = report_html(make_results())
    assert "Profile masked." in text
    assert "Liars bend &lt;the&gt; sum." in text
    assert "<td>3.75</td><td>2.11</td><td>1e-05</td>" in text
    assert "whoever knows the seed can take it off" in text


def test_without_an_epsilon_the_report_says_why() -> None:
    results = make_results()
    results["privacy"] |= {"epsilon": {}, "unknown": "the study asks for no noise"}
    assert "There is no epsilon: the study asks for no noise." in report_html(results)
