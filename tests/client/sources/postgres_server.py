"""A PostgreSQL server of a test's own: a temporary folder, a Unix socket, an unprivileged user."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

PASSWORD = "hunter2-4711"
Command = list[str | Path]
_FOLDERS = [*sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True), Path("/usr/bin")]


@dataclass(frozen=True)
class Server:
    """A running server. Its socket lies in `folder`; `reader` may only SELECT."""

    folder: Path
    binaries: Path
    process: "subprocess.Popen[bytes]"

    def url(self, user: str = "reader") -> str:
        return f"postgresql+psycopg://{user}@/ward?host={self.folder}"

    def run(self, sql: str, database: str = "ward") -> None:
        command: Command = [
            self.binaries / "psql",
            "-qX",
            "-v",
            "ON_ERROR_STOP=1",
            "-h",
            self.folder,
        ]
        command += ["-U", "owner", "-d", database, "-c", sql]
        environment = os.environ | {"PGPASSWORD": PASSWORD}
        subprocess.run(command, check=True, capture_output=True, env=environment, timeout=60)

    def kill(self) -> None:
        """End the server at once, as a crash would."""
        os.kill(self.process.pid, signal.SIGQUIT)
        self.process.wait(30)


@contextmanager
def postgres() -> Iterator[Server]:
    """Start a server with a database `ward`; skip the test where PostgreSQL is not installed."""
    binaries = next((each for each in _FOLDERS if (each / "initdb").exists()), None)
    if binaries is None:
        pytest.skip("PostgreSQL's server is not installed")
    folder = Path(tempfile.mkdtemp(prefix="ward-pg-"))
    try:
        with _started(binaries, folder) as process:
            server = Server(folder, binaries, process)
            _wait(server)
            server.run("CREATE DATABASE ward", database="postgres")
            server.run(f"CREATE USER reader PASSWORD '{PASSWORD}'")
            yield server
    finally:
        shutil.rmtree(folder)


@contextmanager
def _started(binaries: Path, folder: Path) -> Iterator["subprocess.Popen[bytes]"]:
    prefix: Command = []
    if os.geteuid() == 0:  # PostgreSQL refuses to run as root
        user = pwd.getpwnam("nobody")
        os.chown(folder, user.pw_uid, user.pw_gid)
        prefix = ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
    secret = folder / "secret"
    secret.write_text(PASSWORD)
    secret.chmod(0o644)
    data = folder / "data"
    init: Command = [binaries / "initdb", "-D", data, "-U", "owner", "-A", "scram-sha-256"]
    init += [f"--pwfile={secret}", "-E", "UTF8", "--no-sync"]
    subprocess.run([*prefix, *init], check=True, capture_output=True, timeout=120)
    serve: Command = [binaries / "postgres", "-D", data, "-k", folder, "-c", "listen_addresses="]
    process = subprocess.Popen(
        [*prefix, *serve, "-c", "fsync=off"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            os.kill(process.pid, signal.SIGINT)
            process.wait(30)


def _wait(server: Server) -> None:
    for _ in range(300):
        try:
            server.run("SELECT 1", database="postgres")
        except subprocess.CalledProcessError:
            time.sleep(0.1)
        else:
            return
    raise TimeoutError("PostgreSQL does not start")
