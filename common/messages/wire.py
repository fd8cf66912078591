"""What a content is on the wire: Flower's content-addressed objects, each a name and its bytes."""

from collections.abc import Callable

from flwr.app import Message, RecordDict
from flwr.supercore.inflatable.inflatable_object import InflatableObject, get_all_nested_objects
from flwr.supercore.inflatable.inflatable_utils import inflate_object_from_contents

MAX_BYTES = 256 * 2**20
"""Of one message. A vector of 32 million float32 numbers has 16 parts of 8 MiB and fits."""


def wire_objects(content: InflatableObject) -> dict[str, bytes]:
    """Return the bytes that carry a content or a message, by SHA-256 as Flower names them."""
    return {key: part.deflate() for key, part in get_all_nested_objects(content).items()}


def wire_size(content: InflatableObject) -> int:
    """Return how many bytes that is."""
    return sum(map(len, wire_objects(content).values()))


def wire_digest(content: RecordDict) -> str:
    """Return the SHA-256 that stands for a content: of an object that names all its parts'."""
    return content.object_id


class Bounded:
    """Pulls objects by name, and keeps `limit` bytes at most; over: whether there were more."""

    def __init__(self, pull: Callable[[str], bytes], limit: int = MAX_BYTES) -> None:
        self._pull, self._limit, self._total = pull, limit, 0

    def __call__(self, name: str) -> bytes:
        """Return the object's bytes, or none if that would be too many."""
        content = self._pull(name)
        self._total += len(content)
        return b"" if self.over else content

    @property
    def over(self) -> bool:
        """Whether more was pulled than is kept."""
        return self._total > self._limit


class NoMessage(Exception):
    """Objects that are no message."""


def read_message(name: str, objects: dict[str, bytes]) -> Message:
    """Return the message of that name, from the bytes of all its objects, which are used up.

    Raises:
        NoMessage: they are no message, in whatever way.
    """
    try:
        found = inflate_object_from_contents(name, objects)
    except Exception:  # whatever bytes that nobody has checked may do to a parser
        raise NoMessage from None
    if isinstance(found, Message) and (found.has_error() or isinstance(found.content, RecordDict)):
        return found
    raise NoMessage
