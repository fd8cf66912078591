"""The public names and signatures: whoever changes them does so on purpose."""

import inspect
from pathlib import Path

import wardround
from tests.importing import modules_after

ROOT = Path(__file__).parents[2]
SURFACE = {
    "Algorithm": "(*, name, summary, source, episode_update=None, site_update=None, "
    "reference=None, initial, rates, options, optimizer='adam', meta_lr=0.003, group_wise=False)",
    "Episode": "(support, query)",
    "Evaluation": "(results)",
    "Federated": "(study, learner, meta, history, records)",
    "Hospitals": "(dataset, scenario, split, seed=0, origin=None)",
    "InnerSettings": "(*, inner_lr=0.1, inner_steps=1, options, progress=0.0)",
    "Loss": "",
    "Option": "(*, default, low, high, meaning)",
    "Params": "",
    "Patients": "(site, x, labels, group)",
    "Rows": "(x, y, weight)",
    "Task": "(name, x, y, patient)",
    "Tensor": "",
    "WardroundError": "(what, *, where, remedy)",
    "adapt": "(loss, theta, rows, rates, *, steps, second_order=False)",
    "constant": "(meta, settings)",
    "evaluate": "(runs, hospitals, *, k=(0, 5, 10, 20, 50), draws=30, max_tasks=40, workers=0, "
    "progress=False)",
    "federate": "(algorithm, hospitals, *, rounds=200, inner_lr=0.1, inner_steps=5, options, "
    "model=None, sections, engine='vectorized', workers=0, progress=False)",
    "find_algorithm": "(name)",
    "generator": "(*key)",
    "gradient_of": "(objective)",
    "hospitals": "(dataset='synthetic', *, sites=0, scenario='few-shot', held_out=(), data='', "
    "study='', seed=0)",
    "hospitals_of": "(patients, tasks, *, scenario='few-shot', held_out=(), name='own', seed=0)",
    "inner_step": "(loss, phi, rows, rates, *, second_order)",
    "perceptron": "(inputs, *, hidden=64, outputs=2)",
    "rows_of": "(episode)",
    "theta_of": "(meta)",
}


def signature(name: str) -> str:
    """Return names and defaults; what a default is that is no plain value is left out."""
    made = getattr(wardround, name)
    if name in ("Loss", "Params", "Tensor"):
        return ""
    found = inspect.signature(made)
    plain = (str, int, float, tuple, bool, type(None))
    parameters = [
        p.replace(
            annotation=p.empty, default=p.default if isinstance(p.default, plain) else p.empty
        )
        for p in found.parameters.values()
    ]
    return str(found.replace(parameters=parameters, return_annotation=found.empty))


def test_the_names_are_these_and_no_others() -> None:
    assert list(SURFACE) == wardround.__all__ == dir(wardround)


def test_the_signatures_are_these() -> None:
    assert {name: signature(name) for name in SURFACE} == SURFACE


def test_every_name_is_described_on_the_page() -> None:
    text = (ROOT / "docs" / "python-api.md").read_text()
    assert not [name for name in SURFACE if f"`{name}" not in text]


def test_an_unknown_name_is_an_attribute_error() -> None:
    assert not hasattr(wardround, "nothing")


def test_an_algorithm_needs_nothing_that_a_hospital_lacks() -> None:
    names = "Algorithm, Episode, Loss, Option, Params, adapt, constant, gradient_of, rows_of"
    assert not {"torch", "common"} & modules_after("import wardround")
    heavy = {"pandas", "scipy", "matplotlib", "flwr", "simulation", "pydantic"}
    assert not heavy & modules_after(f"from wardround import {names}")
