"""Worker processes: the same function on many jobs, spread over cores, answered in order.

Workers are forked, so they share the parent's data and nothing is copied to them but the jobs. Each
computes on one thread: at this size of work threads of one process wait for each other more than
they compute. Results come in the order of the jobs, whatever the number of workers, so a sum over
them is the same to the last bit.
"""

import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import torch

Job = TypeVar("Job")
Result = TypeVar("Result")
Map = Callable[[Iterable[Job]], Iterator[Result]]

_function: Callable[[Any], Any]


def default_workers() -> int:
    """Return the number of cores this process may use, or 1 where processes cannot be forked."""
    if sys.platform != "linux":  # elsewhere forking a process that has loaded torch is not safe
        return 1
    return len(os.sched_getaffinity(0))


@contextmanager
def workers(function: Callable[[Job], Result], number: int) -> Iterator[Map[Job, Result]]:
    """Yield a map over jobs by `number` processes, which are ended with the block; 1 forks none."""
    if number == 1:
        yield lambda jobs: map(function, jobs)
        return
    pool = multiprocessing.get_context("fork").Pool(number, _adopt, (function,))
    try:
        yield lambda jobs: pool.imap(_call, jobs)
    finally:
        pool.terminate()
        pool.join()


def _adopt(function: Callable[[Any], Any]) -> None:
    global _function
    _function = function
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to answer
    torch.set_num_threads(1)


def _call(job: Any) -> Any:
    return _function(job)
