"""A node's key files: the key in use, and the next one until the coordinator has taken it.

node.key       in use, mode 0600        node.key.pub   its public half, OpenSSH's line
node.key.new   offered, not yet in use
"""

from pathlib import Path

from common.certificates import NodeKey
from common.errors import SettingsError
from common.files import write_atomically


def public_path(path: Path) -> Path:
    """Return where the public half of a node key stands."""
    return path.with_name(path.name + ".pub")


def keep_key(path: Path) -> NodeKey:
    """Return the node key of a file, made if there is none.

    Raises:
        SettingsError: the file holds no node key, or others can read it.
    """
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, NodeKey.new().content)
    return read_node_key(path)


def read_node_key(path: Path) -> NodeKey:
    """Return the node key of a file.

    Raises:
        SettingsError: there is none, or others can read it.
    """
    try:
        if path.stat().st_mode & 0o077:
            raise SettingsError(
                "the node key can be read by others", where=str(path), remedy="chmod 600 it"
            )
        return NodeKey.read(path.read_bytes(), where=str(path))
    except OSError as error:
        raise SettingsError(
            f"there is no node key: {error.strerror}", where=str(path), remedy="wardround node join"
        ) from error


def next_key(path: Path) -> NodeKey:
    """Return the key that is offered in the place of the one in `path`, made if there is none."""
    return keep_key(_next_path(path))


def is_offering(path: Path) -> bool:
    """Whether a next key was made that is not in use yet."""
    return _next_path(path).exists()


def adopt(path: Path) -> None:
    """Put the next key in the place of the one in use, and write its public half."""
    _next_path(path).replace(path)
    publish(path)


def publish(path: Path) -> None:
    """Write the public half of the key in use."""
    write_atomically(public_path(path), (read_node_key(path).public + "\n").encode("ascii"))


def public_in_use(path: Path) -> str:
    """Return the public half of the key in use, even if the key itself is lost.

    Raises:
        SettingsError: both are lost.
    """
    if not path.exists() and public_path(path).exists():
        return public_path(path).read_text(encoding="ascii", errors="replace").strip()
    return read_node_key(path).public


def _next_path(path: Path) -> Path:
    return path.with_name(path.name + ".new")
