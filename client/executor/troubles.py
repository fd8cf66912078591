"""Why the SuperNode cannot join: what passes by itself, and what a person must mend."""

from client.executor.place import Place
from common.errors import SettingsError

UNKNOWN_NODE, BAD_CERTIFICATE, REFUSED = "node-refused", "wrong-certificate", "signature-refused"
WINDOW_S = 60.0
PATIENCE_S = 100.0
EXIT_CODES = {
    302: ("the node's key is no EC key in OpenSSH format", "coordinator.node_key"),
    401: ("the runtime secret cannot be read", "state/supernode"),
    600: ("the coordinator's address cannot be read", "coordinator.address"),
    603: ("the CA certificate does not fit", "coordinator.ca"),
    604: ("a file cannot be found", "site.toml"),
    606: ("the coordinator runs another version of flwr", "installed packages"),
}


class Troubles:
    """Judges each end of the SuperNode's process.

    A node that went without a word counts as connected for up to 60 s at the coordinator, and its
    successor is refused just like one whose key is unknown: only time tells the two apart.
    """

    def __init__(self, place: Place, *, patience_s: float = PATIENCE_S) -> None:
        self._place, self._patience_s = place, patience_s
        self._refused_since: float | None = None
        self.exit_code = 0

    def contact(self) -> None:
        """Take note that the coordinator has been reached."""
        self._refused_since = None

    def passing(self, now: float) -> bool:
        """Return whether a refusal may be that of the minute, and worth asking again soon."""
        return self._refused_since is not None and now - self._refused_since < self._patience_s

    def judge(self, code: str, now: float, *, joined: bool) -> str:
        """Return in words why the SuperNode ended, if it may try again.

        code: of the last call to the coordinator. joined: it has been reached since the start.

        Raises:
            SettingsError: trying again would not help.
        """
        if self.exit_code in EXIT_CODES:
            what, where = EXIT_CODES[self.exit_code]
            raise SettingsError(what, where=where, remedy="mend it and start the node again")
        if code == BAD_CERTIFICATE and not joined:
            raise SettingsError(
                "the coordinator's certificate is not of the CA that you were given",
                where=str(self._place.path(self._place.site.coordinator.ca)),
                remedy="ask the coordinator for ca.crt, or find out who else answers there",
            )
        if code not in (UNKNOWN_NODE, REFUSED):
            return f"it ended ({code or 'no reason given'}) and is started again"
        if self._refused_since is None:
            self._refused_since = now
        if not joined and now - self._refused_since > self._patience_s:
            raise self._unknown(code)
        return (
            "the coordinator does not let this node in: it may still count a former process of "
            f"this node as connected, for up to {WINDOW_S:g} s; trying again"
        )

    def _unknown(self, code: str) -> SettingsError:
        key = self._place.path(self._place.site.coordinator.node_key)
        if code == REFUSED:
            return SettingsError(
                "the coordinator refuses this node's signature",
                where=str(key),
                remedy="set this machine's clock (5 s ahead is too much), or mend the key",
            )
        return SettingsError(
            "the coordinator does not know this node's key, or another node uses it",
            where=str(key),
            remedy=f"give the coordinator {key.name}.pub to register, then start again",
        )
