"""`wardround node join` and `rotate-key`, as typed."""

import re
from pathlib import Path

import typer
from typer.testing import CliRunner

from client.identity import make_identity
from client.join.commands import join as join_command
from client.join.commands import rotate_key as rotate_command
from client.site_file import STATE
from common.certificates import in_groups
from common.crypto import SigningKey
from server.coordinator.folder import CoordinatorFolder
from tests.coordinating import invited


def test_commands_print_what_is_compared_by_telephone(
    folder: CoordinatorFolder, tmp_path: Path
) -> None:
    app = typer.Typer()
    app.command("join")(join_command)
    app.command("rotate-key")(rotate_command)
    node, runner = tmp_path / "ash", CliRunner()
    words = ["join", invited(folder).code, "--folder", str(node), "--site", "Ash"]
    shown = runner.invoke(app, words, catch_exceptions=False).stdout
    assert in_groups(folder.authority) in shown
    assert in_groups(folder.signer().public.hex()) in shown
    own = SigningKey(make_identity(node / STATE)).public.hex()
    assert in_groups(own) in shown
    shown = runner.invoke(app, ["rotate-key", "--folder", str(node)], catch_exceptions=False).stdout
    assert re.search(r"New node key  SHA-256 ([0-9a-f]{8} ?){8}", shown)
