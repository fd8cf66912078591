"""How long to wait before asking again: briefly while there is work, longer the longer none comes.

Asking costs the other side some milliseconds, so who asks a dozen times for each answer is in its
own way. A pace remembers how long the last answer took and is silent for half of that.
"""

LONGEST_SILENCE_S = 0.5


class Pace:
    """Waits between `first` and `last` seconds, each a quarter of all since the last answer.

    So an answer is found within a quarter of the time that it took, or `last` seconds, by a number
    of questions that hardly depends on that time.
    """

    def __init__(self, first: float, last: float) -> None:
        self._first, self._last = first, last
        self._silence = self._waited = 0.0

    def reset(self) -> None:
        """Begin anew: an answer has come."""
        if self._waited:
            self._silence = min(self._waited / 2, LONGEST_SILENCE_S)
        self._waited = 0.0

    def next(self) -> float:
        """Return the next wait in seconds."""
        least = self._first if self._waited else max(self._first, self._silence)
        wait = min(max(least, self._waited / 4), self._last)
        self._waited += wait
        return wait
