"""The examples in the pages run: Python is executed, TOML is read by the program's own readers."""

import json
import re
import tomllib
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from client.site_file import read_site_file
from common.study import read_study
from server.coordinator.settings import COORDINATOR_FILE, read_settings
from tests.documents import PAGES, ROOT, blocks, code_in_text, tokens

POINTERS = re.compile(r"((?:common|client|server|simulation)(?:\.\w+)+):(\w+)")


@pytest.mark.parametrize("page", [p for p in PAGES if blocks(p, "python")])
def test_the_python_of_a_page_runs_from_its_first_block_to_its_last(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"__name__": "example"}
    for example in blocks(page, "python"):
        exec(compile(example, page, "exec"), names)


@pytest.mark.parametrize("page", [p for p in PAGES if blocks(p, "toml")])
def test_the_files_in_a_page_are_valid(page: str, tmp_path: Path) -> None:
    for example in blocks(page, "toml"):
        keys = tomllib.loads(example).keys()
        if "purpose" in keys:
            (tmp_path / "study.toml").write_text(example)
            read_study(tmp_path / "study.toml")
        elif "site" in keys:
            (tmp_path / "site.toml").write_text(example)
            read_site_file(tmp_path)
        elif "hosts" in keys:
            (tmp_path / COORDINATOR_FILE).write_text(example)
            read_settings(tmp_path)


@pytest.mark.parametrize("page", [p for p in PAGES if blocks(p, "json")])
def test_the_json_in_a_page_is_json(page: str) -> None:
    for example in blocks(page, "json"):
        json.loads(example)


@pytest.mark.parametrize("page", PAGES)
def test_every_function_that_a_page_points_at_exists(page: str) -> None:
    for text in code_in_text(page):
        for module, name in POINTERS.findall(text):
            assert hasattr(import_module(module), name), f"{page}: {module}:{name}"


@pytest.mark.parametrize("page", PAGES)
def test_no_list_swallows_the_block_of_code_that_follows_it(page: str) -> None:
    """Four spaces after a list of one level begin a paragraph of its last item, not code."""
    source, depth = (ROOT / page).read_text("utf-8").split("\n"), 0
    for token in tokens(page):
        depth += {"open": 1, "close": -1}.get(token.type.rpartition("list_")[2], 0)
        if token.type == "paragraph_open" and token.map and depth == 1:
            assert not source[token.map[0]].startswith("    "), f"line {token.map[0] + 1}"
