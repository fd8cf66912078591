"""Errors of libraries become our own, without their words: a parser's message may quote an entry.

The new error is raised outside the handler, so that the old one is not even its context: no
formatter of tracebacks, however curious, can show what a patient's cell held.
"""

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from typing import TypeVar

from common.errors import TableError, WardroundError

T = TypeVar("T")
Errors = tuple[type[Exception], ...]
Tell = Callable[[Exception], WardroundError]


def quietly(call: Callable[[], T], errors: Errors, tell: Tell) -> T:
    """Return what `call` returns; one of `errors` becomes what `tell` makes of it.

    Raises:
        WardroundError: as `tell` says, or as `call` itself raised it.
    """
    try:
        return call()
    except WardroundError:
        raise
    except errors as error:
        failure = tell(error)
    raise failure


def quiet_steps(steps: Generator[T, None, None], errors: Errors, tell: Tell) -> Iterator[T]:
    """Yield what `steps` yields, and close it whenever the reader stops.

    Raises:
        WardroundError: as `tell` says, or as a step itself raised it.
    """
    end = object()
    with closing(steps):
        while (step := quietly(lambda: next(steps, end), errors, tell)) is not end:
            yield step  # type: ignore[misc]  # T or the end, which it is not


def check_columns(wanted: Sequence[str], there: Sequence[str], *, where: str) -> list[str]:
    """Return the wanted columns, each once.

    Raises:
        TableError: the source lacks one of them.
    """
    if lacking := [name for name in wanted if name not in there]:
        raise TableError(
            f"there is no column {', '.join(lacking)}",
            where=where,
            remedy="correct `local` in site.toml; `wardround node map` lists the columns there are",
        )
    return list(dict.fromkeys(wanted))
