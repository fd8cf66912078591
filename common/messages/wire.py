"""What a content is on the wire: Flower's content-addressed objects, each a name and its bytes."""

from flwr.app import RecordDict
from flwr.supercore.inflatable.inflatable_object import InflatableObject, get_all_nested_objects


def wire_objects(content: InflatableObject) -> dict[str, bytes]:
    """Return the bytes that carry a content or a message, by SHA-256 as Flower names them."""
    return {key: part.deflate() for key, part in get_all_nested_objects(content).items()}


def wire_size(content: InflatableObject) -> int:
    """Return how many bytes that is."""
    return sum(map(len, wire_objects(content).values()))


def wire_digest(content: RecordDict) -> str:
    """Return the SHA-256 that stands for a content: of an object that names all its parts'."""
    return content.object_id
