"""Token buckets: bursts pass, more does not, and memory is bounded."""

from itertools import count

from hypothesis import given
from hypothesis import strategies as st

from server.coordinator.buckets import Buckets


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_burst_passes_and_then_the_rate() -> None:
    clock = Clock()
    buckets = Buckets(2.0, 3, keep=10, clock=clock)
    assert [buckets.take("a") for _ in range(4)] == [True, True, True, False]
    assert buckets.take("b")
    clock.now = 0.5  # 2 a second: one is back after half of it
    assert [buckets.take("a") for _ in range(2)] == [True, False]


@given(st.lists(st.floats(0, 5), max_size=60))
def test_over_any_time_no_more_pass_than_burst_and_rate(pauses: list[float]) -> None:
    clock = Clock()
    buckets, passed = Buckets(1.0, 4, keep=10, clock=clock), 0
    for pause in pauses:
        clock.now += pause
        passed += buckets.take("a")
    assert passed <= 4 + clock.now


def test_so_many_addresses_are_remembered() -> None:
    buckets = Buckets(1.0, 1, keep=100, clock=Clock())
    for number in range(1000):
        buckets.take(f"10.0.{number // 256}.{number % 256}")
    assert len(buckets) == 100


def test_one_subscriber_of_ipv6_is_one_address() -> None:
    buckets = Buckets(0.001, 2, keep=100, clock=count().__next__)
    assert [buckets.take(f"2001:db8::{i}") for i in range(1, 5)] == [True, True, False, False]
    assert buckets.take("2001:db8:0:1::1")
    assert buckets.take("::ffff:10.0.0.1")
    assert len(buckets) == 3


def test_what_is_given_back_never_makes_more_than_a_burst() -> None:
    buckets = Buckets(0.001, 2, keep=10, clock=Clock())
    buckets.give_back("nobody", 1.0)
    assert len(buckets) == 0
    assert buckets.take("a")
    for _ in range(5):
        buckets.give_back("a", 7 / 8)
    assert [buckets.take("a") for _ in range(3)] == [True, True, False]
