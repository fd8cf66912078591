"""A child does not outlive its parent, however the parent ends.

The child reads its stdin, a pipe whose other end the parent holds and never writes to. Where it may
end at once, the kernel sees to it as well (Linux), even if the child is deep in a computation.
"""

import ctypes
import os
import signal
import sys
import time
from threading import Thread

PR_SET_PDEATHSIG = 1


def hold_lifeline(number: int, *, grace_s: float) -> None:
    """Have this process signalled when its parent ends, and ended `grace_s` seconds later.

    number: the signal, such as SIGTERM for a process that takes its leave of others. It is sent
    once: flwr takes a second one for impatience, and ends without leaving the coordinator.
    """
    if sys.platform == "linux" and not grace_s:
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, number, 0, 0, 0)
    Thread(target=_watch, args=(number, grace_s), daemon=True, name="lifeline").start()


def _watch(number: int, grace_s: float) -> None:
    while os.read(0, 64):
        pass
    if grace_s:
        os.kill(os.getpid(), number)
        time.sleep(grace_s)
    os.kill(os.getpid(), signal.SIGKILL)
