"""docs/extending.md: its blocks are the files of examples/extending, and they do what it says."""

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import get_args

import numpy as np
import pandas as pd
import pytest
import torch

import wardround as wr
from client.sources.base import LocalColumn, Source
from common.algorithms.base import find_algorithm
from common.algorithms.maml import MAML
from common.errors import TableError
from common.parameters import flatten
from common.robust import Aggregation, find_aggregation
from simulation.scenarios import Scenario

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "examples" / "extending"
ENTRY_POINTS = """
[wardround.algorithms]
my-algorithm = my_algorithm:MY_ALGORITHM
[wardround.aggregations]
geometric-median = my_aggregation:MY_AGGREGATION
"""


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Lay out the examples as `pip install` would."""
    metadata = tmp_path / "mine-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: mine\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(ENTRY_POINTS)
    for name in ("my_algorithm", "my_aggregation"):
        monkeypatch.setitem(sys.modules, name, load(name))
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    yield
    find_aggregation.cache_clear()


@pytest.fixture(scope="module")
def few() -> wr.Hospitals:
    hospitals: wr.Hospitals = load("my_data").hospitals(8)
    return hospitals


def test_the_page_shows_every_file_as_it_is_and_each_is_short() -> None:
    page = (ROOT / "docs" / "extending.md").read_text()
    files = sorted(FOLDER.glob("*.py"))
    assert files
    for path in files:
        text = path.read_text()
        assert f"```python\n{text}```" in page, path.name
        assert len(text.splitlines()) < 60, path.name
    assert page.count("```python") == len(files)
    for line in ENTRY_POINTS.strip().splitlines():
        name, _, value = line.partition(" = ")
        assert (f'{name} = "{value}"' if value else name.strip("[]")) in page


@pytest.mark.usefixtures("installed")
def test_the_algorithm_is_found_and_without_a_pull_is_maml(few: wr.Hospitals) -> None:
    mine = find_algorithm("my-algorithm")
    plain, free, pulled = (
        wr.federate(algorithm, few, rounds=2, options=options, workers=1).meta
        for algorithm, options in (
            (MAML, {}),
            (mine, {"strength": 0.0}),
            ("my-algorithm", {"strength": 5.0}),
        )
    )
    torch.testing.assert_close(flatten(free), flatten(plain), rtol=0, atol=1e-4)
    assert not torch.allclose(flatten(pulled), flatten(plain), atol=1e-4)


def test_the_pull_is_the_gradient_of_the_proximal_term() -> None:
    def nothing(phi: wr.Params, *rows: wr.Tensor) -> wr.Tensor:
        return phi["w"].sum() * 0

    # strength / 2 ||phi - theta||^2 = 3 / 2 (1 + 4)
    pulled = load("my_algorithm").pulled_loss(nothing, {"w": torch.zeros(2)}, 3.0)
    one = torch.ones(1)
    assert float(pulled({"w": torch.tensor([1.0, 2.0])}, one, one, one)) == 7.5


def test_the_model_is_trained_and_judged(few: wr.Hospitals) -> None:
    run = load("my_model").train(few, rounds=2)
    assert [name for name in run.theta if name.startswith("head")] == ["head.weight", "head.bias"]
    judged = wr.evaluate([run], few, k=(5,), draws=2, max_tasks=2, workers=1)
    assert 0 < judged.mean("fomaml", 5)[0] < 1


@pytest.mark.parametrize("scenario", get_args(Scenario))
def test_the_data_divide_for_every_scenario_and_more_change_no_other(scenario: Scenario) -> None:
    mine = load("my_data")
    few, more = (
        wr.hospitals_of([mine.hospital(i) for i in range(n)], mine.DISEASES, scenario=scenario)
        for n in (4, 5)
    )
    assert few.split.train
    assert few.split.test
    for site, patients in few.dataset.patients.items():
        np.testing.assert_array_equal(patients.x, more.dataset.patients[site].x)


@pytest.mark.usefixtures("installed")
def test_the_aggregation_is_found_withstands_a_minority_and_runs(few: wr.Hospitals) -> None:
    mine = find_aggregation("geometric-median")
    assert isinstance(mine, Aggregation)
    # Of three points on a line the middle one has the least sum of distances.
    line = torch.tensor([[0.0], [1.0], [9.0]])
    many = Aggregation(name="m", source="", combine=lambda u, f: mine.combine(u, f))
    assert abs(float(many(line, malicious=1)) - 1) < 0.2
    honest = 1 + 0.1 * torch.from_numpy(np.random.default_rng(0).standard_normal((9, 40)))
    rows = torch.cat([honest, torch.full((2, 40), 50.0)])
    assert float((mine(rows, malicious=2) - 1).abs().max()) < 0.2
    assert float((rows.mean(0) - 1).abs().max()) > 5
    run = wr.federate(
        "fomaml",
        few,
        rounds=2,
        sections={"privacy": {"aggregation": "geometric-median"}},
        workers=1,
    )
    mean = wr.federate("fomaml", few, rounds=2, workers=1)
    assert not torch.equal(flatten(run.meta), flatten(mean.meta))


def test_the_hospitals_source_keeps_the_contract(tmp_path: Path) -> None:
    path = tmp_path / "patients.jsonl"
    path.write_text("".join(f'{{"id": "{i}", "age": {20 + i}}}\n' for i in range(5)))
    source: Source = load("my_source").JsonLines(path)
    assert source.columns() == [LocalColumn("id"), LocalColumn("age")]
    chunks = list(source.chunks(["age"], rows=2))
    assert [len(chunk) for chunk in chunks] == [2, 2, 1]
    assert pd.concat(chunks)["age"].tolist() == [20, 21, 22, 23, 24]
    with pytest.raises(TableError, match="no column weight"):
        list(source.chunks(["weight"]))
    path.write_text('{"id": "0", "age": 4711.25\n')
    with pytest.raises(TableError, match="row 1") as caught:
        list(source.chunks(["age"]))
    assert "4711" not in str(caught.value)
    assert caught.value.__context__ is None
