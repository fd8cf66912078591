"""A published folder as it is checked: what lies in it, and what its parts say.

Files are read as they are, as JSON, TOML and tensors; nothing in them is ever run, and what cannot
be read is a problem of its own, never a crash.
"""

import json
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import load

from common.errors import RunFolderError, SettingsError
from common.publication.manifest import (
    MANIFEST,
    MODEL,
    RECORDS,
    SIGNATURE,
    STUDY,
    TENSORS,
    Entry,
    Manifest,
    entries,
    read_part,
)
from common.publication.model_file import ModelFile
from common.study import Study, read_study


class Problem(Exception):
    """A check does not hold; the message says what is wrong."""


class Folder:
    """A published folder; whatever is read from it is read once."""

    def __init__(self, path: Path) -> None:
        """Look at what lies in `path`.

        Raises:
            RunFolderError: it is no folder with a manifest.
        """
        if not (path / MANIFEST).is_file():
            raise RunFolderError(
                "this is no published folder",
                where=str(path / MANIFEST),
                remedy="name a folder that wardround coordinator export wrote",
            )
        self.path = path
        self.there = sorted(p.name for p in path.iterdir())

    @cached_property
    def manifest(self) -> Manifest:
        """The manifest, in its one spelling."""
        try:
            return Manifest.read((self.path / MANIFEST).read_bytes())
        except RunFolderError as error:
            raise Problem(f"{MANIFEST} was changed or is damaged") from error

    @cached_property
    def model(self) -> ModelFile:
        """What model.json says."""
        try:
            return read_part(ModelFile, self.bytes(MODEL), MODEL)
        except RunFolderError as error:
            raise Problem(f"{MODEL} was changed or is damaged") from error

    @cached_property
    def study(self) -> Study:
        """The study, if it is published."""
        try:
            return read_study(self.path / STUDY)
        except SettingsError as error:
            raise Problem(f"{STUDY}: {error.what}") from error

    @cached_property
    def tensors(self) -> Mapping[str, NDArray[Any]]:
        """The learned tensors by name."""
        try:
            return load(self.bytes(TENSORS))
        except (SafetensorError, ValueError, KeyError) as error:
            raise Problem(f"{TENSORS} cannot be read") from error

    @cached_property
    def header(self) -> Mapping[str, str]:
        """What the file of the tensors says about itself."""
        try:
            with safe_open(self.path / TENSORS, framework="np") as file:
                return file.metadata() or {}
        except (SafetensorError, OSError) as error:
            raise Problem(f"{TENSORS} cannot be read") from error

    @cached_property
    def theta(self) -> NDArray[np.float32]:
        """The study's vector [d], float32: all tensors in the order that model.json gives."""
        parts = [self.tensors[one.name].reshape(-1) for one in self.model.tensors]
        return np.concatenate(parts).astype("<f4")

    @property
    def records(self) -> list[dict[str, Any]]:
        """The lines of rounds.jsonl."""
        try:
            lines = [json.loads(line) for line in self.bytes(RECORDS).splitlines()]
        except ValueError as error:
            raise Problem(f"{RECORDS} cannot be read") from error
        if not all(isinstance(line, dict) for line in lines):
            raise Problem(f"{RECORDS} is no record of rounds")
        return lines

    def json(self, name: str) -> dict[str, Any]:
        """Return the JSON object in a file."""
        try:
            found = json.loads(self.bytes(name))
        except ValueError as error:
            raise Problem(f"{name} is no JSON") from error
        if not isinstance(found, dict):
            raise Problem(f"{name} holds no object")
        return found

    def bytes(self, name: str) -> bytes:
        """Return what a file holds; links are not followed."""
        path = self.path / name
        if path.is_symlink() or not path.is_file():
            raise Problem(f"{name} is missing, or no plain file")
        return path.read_bytes()

    def entry(self, name: str) -> Entry | None:
        """Return a file's size and hash, None if it is no plain file."""
        try:
            return entries({name: self.bytes(name)})[name]
        except Problem:
            return None

    def has(self, name: str) -> bool:
        """Whether a file of this name is there."""
        return name in self.there

    @property
    def expected(self) -> set[str]:
        """The names that there should be."""
        manifest = self.manifest
        return {*manifest.files, MANIFEST, *([SIGNATURE] if manifest.signer else [])}
