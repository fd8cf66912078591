"""An app of a few lines for tests of the service: no torch, no patients."""

from pathlib import Path

from flwr.app import Context, Message

from client.executor.executor import Value


def app():  # type: ignore[no-untyped-def]
    def echo(message: Message, context: Context) -> Message:
        return Message(message.content, reply_to=message)

    return echo


def kinds() -> frozenset[str]:
    return frozenset({"train.update"})


def node_config(folder: Path) -> dict[str, Value]:
    return {"node": str(folder)}


def approved_bundles(folder: Path) -> frozenset[str]:
    return frozenset()


def note_refusal(folder: Path, kind: str, run: int, code: str) -> None:
    """Nothing is kept."""


def warm(folder: Path) -> None:
    """There is nothing to make ready."""
