"""`wardround coordinator sign`: what a coordinator does to a study before hospitals see it."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from common.crypto import SigningKey


def sign(
    study: Annotated[Path, typer.Argument(help="study.toml; the seal is written beside it.")],
    *,
    key: Annotated[
        Path | None, typer.Option(help="Your secret key; made, mode 0600, if missing.")
    ] = None,
    folder: Annotated[
        Path | None,
        typer.Option(
            help="The coordinator's folder: its key signs, and its edge serves the study."
        ),
    ] = None,
) -> None:
    """Sign a study and its runs' bundle, so that hospitals can tell that both are yours.

    STUDY is its study.toml; the seal is written beside it, study.toml.sig.
    """
    from common.files import write_atomically
    from common.signed_study import seal_path, seal_study
    from common.study import read_study
    from server.coordinator.bundle import make_bundle
    from server.coordinator.folder import open_folder

    read = read_study(study)
    signer = _signer(key, folder)
    bundle = make_bundle()
    sealed = seal_study(read, signer, bundle=bundle).text.encode() + b"\n"
    served = open_folder(folder).study if folder else None
    if served:
        served.parent.mkdir(exist_ok=True)
        write_atomically(served, study.read_bytes())
    for place in filter(None, (study, served)):
        write_atomically(seal_path(place), sealed)
    sys.stdout.write(f"Study {read.name}, id {read.id}\nSigned by {signer.public.hex()}\n")


def _signer(key: Path | None, folder: Path | None) -> "SigningKey":
    """Return the key that signs: the one of the file, made if missing, or the folder's.

    Raises:
        SettingsError: not exactly one of both is given.
    """
    from common.crypto import SigningKey
    from common.errors import SettingsError
    from common.key_files import make_key, read_key
    from server.coordinator.folder import open_folder

    if (key is None) == (folder is None):
        raise SettingsError(
            "whose key signs is not clear", where="sign", remedy="give either --folder or --key"
        )
    if folder is not None:
        return open_folder(folder).signer()
    assert key is not None  # noqa: S101 - one of both
    make_key(key)
    return SigningKey(read_key(key, "the coordinator's key", SettingsError, remedy="restore it"))
