"""Flower's SuperLink or SuperExec, or our edge, as a child of `wardround coordinator start`.

    python -m server.coordinator.flower_process superlink|superexec|edge ARGUMENTS

It ends with its parent, however that ends. What Flower or a library prints goes to stderr.
"""

import signal
import sys
from pathlib import Path

from common.processes.events import Events
from common.processes.lifeline import hold_lifeline

GRACE_S = 8.0


def main() -> None:
    """Run the part that the first argument names until its end."""
    part, *arguments = sys.argv[1:]
    events = Events.on_stdout()
    hold_lifeline(signal.SIGTERM, grace_s=GRACE_S)
    sys.argv = [f"flower-{part}", *arguments]
    events.send("up")
    if part == "superlink":
        from flwr.superlink.cli.flower_superlink import flower_superlink

        from server.coordinator.quick import quicken_superlink

        quicken_superlink()
        flower_superlink()
    elif part == "superexec":
        from flwr.supercore.cli.flower_superexec import flower_superexec

        flower_superexec()
    elif part == "edge":
        from server.coordinator.folder import open_folder
        from server.coordinator.serving import serve_edge

        serve_edge(open_folder(Path(arguments[0])))
    else:
        sys.exit(f"no part is named {part}")


if __name__ == "__main__":
    main()
