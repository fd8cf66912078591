import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from common.errors import RunFolderError
from common.parameters import flatten, unflatten
from common.personal.candidates import panel
from common.personal.conformal import GRID, Reference, thresholds
from common.personal.gate import Gate, Scale, mix
from common.personal.portfolio import FILE, INITIALIZATION, Kind, Portfolio, Rule
from common.personal.portfolio import read_portfolio as read
from common.personal.portfolio import write_portfolio as write
from common.personal.starts import Start
from common.study import Study

MakeStart = Callable[..., Start]
NAMES = ("prevalence", "local/0.1", "maml/zero", "maml/full/4", "reptile/steps/2", "expert/head/3")


def rule(seed: int) -> Rule:
    """A rule of no round numbers, at no patients and at five."""
    rng = np.random.default_rng(seed)

    def scale() -> Scale:
        logs = {name: float(np.float32(rng.normal())) for name in NAMES}
        return Scale(logs, *(float(v) for v in rng.random(4)))

    def reference() -> Reference:
        low, high = np.sort(rng.random((2, len(GRID))), axis=1)
        return Reference((low, high), float(rng.random()))

    return Rule(Gate({5: scale(), 0: scale()}, 7), {0: reference(), 5: reference()})


@pytest.fixture
def portfolio(make_start: MakeStart, ward_study: Study) -> Portfolio:
    starts = [make_start("maml"), make_start("reptile", seed=1)]
    starts += [make_start("expert", seed=2, task="gout"), make_start("other", seed=3, task="mumps")]
    rules: dict[Kind, Rule] = {"known": rule(0), "new": rule(1)}
    return Portfolio(starts, [ward_study] * 4, rules, "a simulation")


def names(starts: list[Start]) -> list[str]:
    return [start.name for start in starts]


@pytest.fixture
def folder(portfolio: Portfolio, tmp_path: Path) -> Path:
    write(tmp_path / "model", portfolio)
    return tmp_path / "model"


def test_a_portfolio_is_read_back_as_it_was_written(portfolio: Portfolio, folder: Path) -> None:
    found = read(folder)
    assert found.origin == "a simulation"
    assert list(found.studies) == list(portfolio.studies)
    for a, b in zip(found.starts, portfolio.starts, strict=True):
        assert (a.name, a.task) == (b.name, b.task)
        assert list(a.meta) == list(b.meta)
        assert all(torch.equal(p, b.meta[name]) for name, p in a.meta.items())
    assert set(found.rules) == {"known", "new"}
    for kind, given in portfolio.rules.items():
        assert found.rules[kind].gate == given.gate
        assert list(found.rules[kind].gate.at) == list(given.gate.at)
        for k, reference in given.references.items():
            back = found.rules[kind].references[k]
            assert back.familiar == reference.familiar
            # Six digits are written.
            np.testing.assert_allclose(back.scores, reference.scores, atol=6e-7)


@pytest.mark.parametrize("k", [0, 5])
def test_predictions_are_bit_for_bit_the_same_after_the_journey(
    k: int, portfolio: Portfolio, folder: Path
) -> None:
    generator = torch.Generator().manual_seed(0)
    x, others = torch.randn(2, k, 6, generator=generator), torch.randn(4, 6, generator=generator)
    y = (torch.arange(k) % 2).expand(2, -1)

    def predict(portfolio: Portfolio) -> tuple[torch.Tensor, ...]:
        starts, rule = portfolio.for_task("gout")
        found = panel(starts, x, y, others)
        return found.logits, *mix(rule.gate.for_patients(k), found, y.float())

    for a, b in zip(predict(portfolio), predict(read(folder)), strict=True):
        assert torch.equal(a, b)


def test_written_twice_the_folder_is_the_same_to_the_byte(
    portfolio: Portfolio, folder: Path, tmp_path: Path
) -> None:
    again = tmp_path / "again"
    write(again, read(folder))
    files = [path.relative_to(folder) for path in sorted(folder.rglob("*")) if path.is_file()]
    assert len(files) == 9
    for path in files:
        assert (folder / path).read_bytes() == (again / path).read_bytes()


def test_parameters_that_are_parts_of_one_vector_can_be_written(
    make_start: MakeStart, ward_study: Study, tmp_path: Path
) -> None:
    start = make_start()
    meta = unflatten(flatten(start.meta), start.meta)
    parts = Start("maml", start.learner, meta)
    write(tmp_path, Portfolio([parts], [ward_study], {"new": rule(0)}, ""))
    assert torch.equal(flatten(read(tmp_path).starts[0].meta), flatten(meta))


def test_a_gate_that_is_no_number_is_not_written(
    make_start: MakeStart, ward_study: Study, tmp_path: Path
) -> None:
    gate = Gate({5: Scale({"prevalence": float("nan")}, 0.0, 1.0, 0.0, 0.0)}, 1)
    with pytest.raises(ValueError, match="JSON"):
        write(tmp_path, Portfolio([make_start()], [ward_study], {"new": Rule(gate, {})}, ""))
    assert not (tmp_path / FILE).exists()


def test_starts_of_the_same_name_are_kept_apart(
    make_start: MakeStart, ward_study: Study, tmp_path: Path
) -> None:
    starts = [make_start("expert", seed=n, task=task) for n, task in enumerate(["gout", "mumps"])]
    write(tmp_path, Portfolio(starts, [ward_study] * 2, {"known": rule(0)}, ""))
    for a, b in zip(read(tmp_path).starts, starts, strict=True):
        assert a.task == b.task
        assert torch.equal(flatten(a.meta), flatten(b.meta))


def test_a_diagnosis_that_was_trained_for_gets_its_own_starts_and_the_general_ones(
    portfolio: Portfolio,
) -> None:
    starts, found = portfolio.for_task("gout")
    assert names(starts) == ["maml", "reptile", "expert"]
    assert found is portfolio.rules["known"]


def test_a_new_diagnosis_gets_the_general_starts_alone(portfolio: Portfolio) -> None:
    starts, found = portfolio.for_task("anaemia")
    assert names(starts) == ["maml", "reptile"]
    assert found is portfolio.rules["new"]


def test_without_a_rule_for_known_diagnoses_all_are_new(portfolio: Portfolio) -> None:
    only = Portfolio(portfolio.starts, portfolio.studies, {"new": rule(1)}, "")
    starts, found = only.for_task("gout")
    assert names(starts) == ["maml", "reptile"]
    assert found is only.rules["new"]


def test_a_new_diagnosis_without_a_rule_for_it_is_refused(portfolio: Portfolio) -> None:
    only = Portfolio(portfolio.starts, portfolio.studies, {"known": rule(0)}, "")
    assert only.for_task("gout")[1] is only.rules["known"]
    with pytest.raises(RunFolderError, match="no gate for anaemia"):
        only.for_task("anaemia")


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


def test_limits_are_the_same_after_the_journey_to_six_digits(
    portfolio: Portfolio, folder: Path
) -> None:
    own_p, own_y = np.array([0.2, 0.7, 0.4]), np.array([0.0, 1.0, 1.0])
    a, b = (
        thresholds(whole.rules["new"].references[5], own_p, own_y, 0.9)
        for whole in (portfolio, read(folder))
    )
    np.testing.assert_allclose(a, b, atol=1e-6)
