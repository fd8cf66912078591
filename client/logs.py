"""The node's log: JSON lines in state/node.log, readable lines on stderr, never a patient's value.

Of an exception the log keeps its type, where in our code it was raised, and the text if the error
is one of our own (common/errors.py), whose texts quote no value. Any other text is left out: it may
quote the very entry that a library stumbled over.
"""

import logging
import sys
from logging.handlers import RotatingFileHandler
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import structlog
from structlog.stdlib import ProcessorFormatter

from common.errors import WardroundError

if TYPE_CHECKING:
    from collections.abc import Callable

LOG_FILE, MAX_BYTES, KEPT = "node.log", 5_000_000, 5
ROOT = Path(__file__).parents[1]
OURS = "wardround"
Log = structlog.stdlib.BoundLogger


def about(error: BaseException) -> dict[str, str]:
    """Return what may be told of an exception: type, place in our code, text if it is our own."""
    name = type(error).__name__
    told = {"error": name if name.isidentifier() else "?", "at": _place(error.__traceback__)}
    if isinstance(error, WardroundError):
        told["text"] = str(error)
    return told


def _place(trace: TracebackType | None) -> str:
    """Return file and line of the innermost frame in our packages."""
    place = ""
    while trace is not None:
        path = Path(trace.tb_frame.f_code.co_filename)
        if path.is_relative_to(ROOT) and path.relative_to(ROOT).parts[0] in ("client", "common"):
            place = f"{path.relative_to(ROOT)}:{trace.tb_lineno}"
        trace = trace.tb_next
    return place


class Relay(logging.Handler):
    """Hands our own packages' log records to `send`, without the text of any exception."""

    def __init__(self, send: "Callable[..., None]") -> None:
        super().__init__()
        self._send = send

    def emit(self, record: logging.LogRecord) -> None:
        """Send one record: level, message, and what may be told of its exception."""
        error = record.exc_info[1] if record.exc_info else None
        told = about(error) if error else {}
        values = record.args if isinstance(record.args, tuple) else ()
        if any(isinstance(value, BaseException) for value in values):
            message = str(record.msg)  # an exception among the values would be its text
        else:
            message = record.getMessage()
        self._send("log", level=record.levelname.lower(), message=message[:500], **told)


def relay(send: "Callable[..., None]") -> None:
    """Send our packages' log records on; silence all others, whose texts nobody has checked."""
    logging.getLogger().handlers = [logging.NullHandler()]
    logging.raiseExceptions = False
    ours = logging.getLogger(OURS)
    ours.handlers, ours.propagate = [Relay(send)], False
    ours.setLevel(logging.INFO)
    sys.excepthook = lambda _kind, error, _trace: send("crash", **about(error))


def open_log(state: Path, *, level: str = "info") -> Log:
    """Return the node's log; its file is rotated and read by its owner only."""
    file = _PrivateFile(state / LOG_FILE, maxBytes=MAX_BYTES, backupCount=KEPT)
    file.setFormatter(ProcessorFormatter(processor=structlog.processors.JSONRenderer()))
    shown = logging.StreamHandler(sys.stderr)
    shown.setFormatter(ProcessorFormatter(processor=structlog.dev.ConsoleRenderer(colors=False)))
    base = logging.getLogger(f"{OURS}.node")
    for handler in base.handlers:
        handler.close()
    base.handlers, base.propagate = [file, shown], False
    base.setLevel(level.upper())
    logger: Log = structlog.wrap_logger(
        base,
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.stdlib.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=Log,
    )
    return logger


class _PrivateFile(RotatingFileHandler):
    """A rotated file of mode 0600."""

    def _open(self) -> Any:
        stream = super()._open()
        Path(self.baseFilename).chmod(0o600)
        return stream
