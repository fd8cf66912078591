"""How long to wait before asking again: briefly after work, longer the longer nothing comes."""


class Pace:
    """Waits that grow from `first` to `last` seconds by a quarter each time, until something comes.

    So a request is found within a quarter of the time since the last one, or `last` seconds.
    """

    def __init__(self, first: float, last: float) -> None:
        self._first, self._last, self._next = first, last, first

    def reset(self) -> None:
        """Begin again with short waits."""
        self._next = self._first

    def next(self) -> float:
        """Return the next wait in seconds."""
        wait = self._next
        self._next = min(wait * 1.25, self._last)
        return wait
