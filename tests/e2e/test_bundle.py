"""The repository is a Flower App whose bundle carries pyproject.toml and nothing else."""

import importlib
import tomllib
import zipfile
from pathlib import Path
from typing import Any

from flwr.clientapp import ClientApp
from flwr.serverapp import ServerApp
from flwr.supercore.constant import DEFAULT_SIMULATION_CONFIG

from simulation.source import DEFAULTS, SimulatedSource
from tests.e2e.conftest import ROOT, Flower, Settings


def test_the_bundle_is_thin_and_names_apps_that_are_installed(
    flower: Flower, checkout: Path, tmp_path: Path
) -> None:
    flower.run("flwr", "build", "--app", str(checkout), party="coordinator", cwd=tmp_path)
    (path,) = tmp_path.glob("*.fab")
    with zipfile.ZipFile(path) as bundle:
        assert set(bundle.namelist()) == {"pyproject.toml", ".info/CONTENT"}
        app = _app(bundle.read("pyproject.toml").decode())
    components = {kind: _load(name) for kind, name in app["components"].items()}
    assert components.keys() == {"serverapp", "clientapp"}
    assert isinstance(components["serverapp"], ServerApp)
    assert isinstance(components["clientapp"], ClientApp)


def test_the_run_config_has_every_setting_of_a_simulation_with_its_default() -> None:
    own = {"dataset": "synthetic", "sites": 3}  # needs no extra, and fits the next test
    assert {key: _config().get(key) for key in DEFAULTS} == DEFAULTS | own


def test_flwr_run_without_settings_finds_as_many_virtual_hospitals_as_flower_starts_nodes() -> None:
    sites = SimulatedSource().study(_config()).sites
    assert len(sites) == DEFAULT_SIMULATION_CONFIG.num_supernodes


def _config() -> Settings:
    config: Settings = _app((ROOT / "pyproject.toml").read_text())["config"]
    return config


def _app(text: str) -> dict[str, Any]:
    app: dict[str, Any] = tomllib.loads(text)["tool"]["flwr"]["app"]
    return app


def _load(reference: str) -> object:
    module, _, name = reference.partition(":")
    return getattr(importlib.import_module(module), name)
