"""Just-in-time compilation by numba where it is installed; else the same functions, interpreted.

A decorated function is loops over arrays that give the same numbers either way. numba is an extra
(`fast`): a hospital's client works without it, only slower. What was compiled is kept in the user's
cache folder, under a hash of all sources that it was made from, so that no stale code is ever run.
"""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

try:
    import numba
except ModuleNotFoundError:  # it is an extra
    numba = None

F = TypeVar("F", bound=Callable[..., Any])

COMPILED: bool = numba is not None
"""Whether decorated functions are compiled."""

# Sums may be reordered and multiply-adds fused, as any BLAS does. No flag lets the compiler assume
# that there are no NaN or infinities, so a check for them after the call can be trusted.
_REORDER = {"reassoc", "contract", "nsz", "arcp"}


def jit(function: F) -> F:
    """Return `function`, compiled at its first call for each combination of argument types."""
    if numba is None:
        return function
    compile_ = numba.njit(nogil=True, fastmath=_REORDER, error_model="numpy", forceinline=True)
    compiled: F = compile_(function)
    if _CACHE is not None:
        compiled.enable_caching()  # type: ignore[attr-defined]
    return compiled


def _cache_folder() -> Path | None:
    """Make and return the folder of compiled code; None where the user has no writable one."""
    digest = hashlib.sha256()
    for source in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(source.read_bytes())
    home = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    folder = Path(home) / "wardround" / digest.hexdigest()[:16]
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError:
        return None
    return folder if os.access(folder, os.W_OK) else None


_CACHE = _cache_folder() if COMPILED else None
if _CACHE is not None and not numba.config.CACHE_DIR:
    numba.config.CACHE_DIR = str(_CACHE)


def _identity(value: int) -> int:
    return value


constant: Callable[[int], int] = numba.literally if numba is not None else _identity
"""Called on an argument inside a compiled function, it compiles anew for each value of it."""


def specialise(function: F, *arguments: Any, **constants: int) -> F:
    """Return `function` compiled for arguments of these types and for these constants, its last.

    What is returned checks no types any more: call it with arguments of the very same types, and
    with the same constants.
    """
    if numba is None:
        return function
    types = [numba.typeof(argument) for argument in arguments]
    literals = [numba.types.literal(value) for value in constants.values()]
    entry: F = function.compile((*types, *literals))  # type: ignore[attr-defined]
    return entry
