"""How many requests an address may make: token buckets, of which a bounded number is kept."""

import ipaddress
from collections import OrderedDict
from collections.abc import Callable


class Buckets:
    """A bucket for each address: it holds `burst` requests and regains `rate` a second.

    keep: the number of addresses that are remembered; the one that was heard of least recently is
    forgotten, and begins with a full bucket again.
    """

    def __init__(self, rate: float, burst: int, *, keep: int, clock: Callable[[], float]) -> None:
        self._rate, self._burst, self._keep, self._clock = rate, burst, keep, clock
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, address: str) -> bool:
        """Return whether the address may make a request now, which is then counted."""
        key, now = _household(address), self._clock()
        left, at = self._left.pop(key, (float(self._burst), now))
        left = min(self._burst, left + (now - at) * self._rate)
        self._left[key] = (left - 1 if left >= 1 else left, now)
        if len(self._left) > self._keep:
            self._left.popitem(last=False)
        return left >= 1

    def give_back(self, address: str, share: float) -> None:
        """Let a request of the address count for less, by this share of one."""
        if (held := self._left.get(key := _household(address))) is not None:
            self._left[key] = (min(self._burst, held[0] + share), held[1])

    def __len__(self) -> int:
        return len(self._left)


def _household(address: str) -> str:
    """Return the address, of IPv6 the /64 that one subscriber has."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.ip_network((parsed, 64), strict=False))
    return address
