"""A model folder that is damaged or was tampered with is refused."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from common.errors import RunFolderError
from common.personal.portfolio import FILE, INITIALIZATION
from common.personal.portfolio import read_portfolio as read


def change(folder: Path, edit: Callable[[Any], None]) -> None:
    whole = json.loads((folder / FILE).read_text())
    edit(whole)
    (folder / FILE).write_text(json.dumps(whole))


EDITS: dict[str, Callable[[Any], None]] = {
    "another schema": lambda whole: whole.update(schema=2),
    "no origin": lambda whole: whole.pop("origin"),
    "no starts": lambda whole: whole.pop("starts"),
    "starts that are numbers": lambda whole: whole.update(starts=[1]),
    "a folder that is a number": lambda whole: whole["starts"][0].update(folder=1),
    "a folder above": lambda whole: whole["starts"][0].update(folder="../starts/00-maml"),
    "the folder itself": lambda whole: whole["starts"][0].update(folder=".."),
    "no folder": lambda whole: whole["starts"][0].update(folder=""),
    "an absolute folder": lambda whole: whole["starts"][0].update(folder="/tmp/00-maml"),
    "no gate": lambda whole: whole["rules"]["new"].pop("at"),
    "a rule of another kind": lambda whole: whole["rules"].update(old=whole["rules"]["new"]),
    "a k that is a word": lambda whole: whole["rules"]["new"]["at"].update(five={}),
    "a scale without its bias": lambda whole: whole["rules"]["new"]["at"]["5"].pop("bias"),
    "a scale with more": lambda whole: whole["rules"]["new"]["at"]["5"].update(more=1),
    "a scale that is NaN": lambda whole: whole["rules"]["new"]["at"]["5"].update(scale=np.nan),
    "a bias that is a word": lambda whole: whole["rules"]["new"]["at"]["5"].update(bias="much"),
    "weights that are a list": lambda whole: whole["rules"]["new"]["at"]["5"].update(
        log_weights=[1.0]
    ),
    "an infinite weight": lambda whole: whole["rules"]["new"]["at"]["5"]["log_weights"].update(
        prevalence=np.inf
    ),
    "too few quantiles": lambda whole: whole["rules"]["new"]["references"]["5"]["scores"][0].pop(),
    "one label's scores": lambda whole: whole["rules"]["new"]["references"]["5"]["scores"].pop(),
    "a score that is NaN": lambda whole: whole["rules"]["new"]["references"]["5"]["scores"][
        1
    ].__setitem__(3, np.nan),
}


@pytest.mark.parametrize("name", EDITS)
def test_a_list_of_contents_that_was_tampered_with_is_refused(name: str, folder: Path) -> None:
    change(folder, EDITS[name])
    with pytest.raises(RunFolderError, match=FILE):
        read(folder)


@pytest.mark.parametrize("text", ["", "{", "[]", "3", '"a"', "null", "\xff"])
def test_a_list_of_contents_that_is_none_is_refused(text: str, folder: Path) -> None:
    (folder / FILE).write_bytes(text.encode("latin-1"))
    with pytest.raises(RunFolderError, match="no model folder, or it is damaged"):
        read(folder)


@pytest.mark.parametrize(
    "name", [FILE, f"starts/01-reptile/{INITIALIZATION}", "starts/01-reptile/study.toml"]
)
def test_a_folder_without_one_of_its_files_is_refused(name: str, folder: Path) -> None:
    (folder / name).unlink()
    with pytest.raises(RunFolderError, match=Path(name).name):
        read(folder)


def test_a_damaged_study_is_refused(folder: Path) -> None:
    (folder / "starts/01-reptile/study.toml").write_text("rounds = -1")
    with pytest.raises(RunFolderError, match="01-reptile"):
        read(folder)


Tensors = dict[str, torch.Tensor]
DAMAGES: dict[str, Callable[[Tensors], Tensors]] = {
    "another shape": lambda t: t | {"0.weight": t["0.weight"][:, :5].clone()},
    "another type": lambda t: t | {"0.bias": t["0.bias"].double()},
    "one too few": lambda t: {name: p for name, p in t.items() if name != "2.bias"},
    "one too many": lambda t: t | {"4.bias": t["2.bias"].clone()},
    "NaN": lambda t: t | {"2.bias": torch.tensor([0.0, float("nan")])},
    "infinite": lambda t: t | {"2.bias": torch.tensor([float("-inf"), 0.0])},
}


@pytest.mark.parametrize("name", DAMAGES)
def test_an_initialization_that_does_not_fit_its_study_is_refused(name: str, folder: Path) -> None:
    path = folder / "starts" / "01-reptile" / INITIALIZATION
    save_file(DAMAGES[name](load_file(path)), path)
    with pytest.raises(RunFolderError, match="does not fit its study"):
        read(folder)


def test_an_initialization_that_was_cut_short_is_refused(folder: Path) -> None:
    path = folder / "starts" / "00-maml" / INITIALIZATION
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(RunFolderError, match="cannot be read"):
        read(folder)
