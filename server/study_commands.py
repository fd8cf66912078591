"""`wardround coordinator sign`: what a coordinator does to a study before hospitals see it."""

import sys
from pathlib import Path
from typing import Annotated

import typer


def sign(
    study: Annotated[Path, typer.Argument(help="study.toml; the seal is written beside it.")],
    *,
    key: Annotated[Path, typer.Option(help="Your secret key; made, mode 0600, if missing.")],
    bundle: Annotated[
        Path | None, typer.Option(help="App bundle (flwr build) that runs of the study carry.")
    ] = None,
) -> None:
    """Sign a study, so that hospitals can tell that it is yours and unchanged.

    STUDY is its study.toml; the seal is written beside it, study.toml.sig.
    """
    from common.crypto import SigningKey
    from common.errors import SettingsError
    from common.files import write_atomically
    from common.key_files import make_key, read_key
    from common.signed_study import seal_path, seal_study
    from common.study import read_study

    read = read_study(study)
    make_key(key)
    secret = read_key(key, "the coordinator's key", SettingsError, remedy="restore it")
    content = bundle.read_bytes() if bundle else None
    signer = SigningKey(secret)
    sealed = seal_study(read, signer, bundle=content)
    write_atomically(seal_path(study), sealed.text.encode() + b"\n")
    sys.stdout.write(f"Study {read.name}, id {read.id}\nSigned by {signer.public.hex()}\n")
