"""systemd's notifications: readiness, watchdog, and a line on how it goes (sd_notify(3))."""

import os
import socket


def notify(message: str) -> None:
    """Tell systemd, if it started us: READY=1, WATCHDOG=1, STOPPING=1 or STATUS=..."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if address[:1] not in ("/", "@"):
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as line:
        try:
            line.connect("\0" + address[1:] if address[0] == "@" else address)
            line.sendall(message.encode())
        except OSError:
            return
