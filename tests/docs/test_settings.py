"""Every setting of a study, hospital, coordinator, Flower run and algorithm is documented."""

import re
import tomllib
from importlib.metadata import entry_points

import pytest
from pydantic import BaseModel

from client.site_file import SiteFile
from common.study import Study
from server.coordinator.settings import CoordinatorFile
from tests.documents import ROOT, code_in_text, commands


def settings_of(model: type[BaseModel]) -> set[str]:
    """Return the names of all settings, those of sections within too, and not the sections'."""
    found: set[str] = set()
    for name, field in model.model_fields.items():
        parts = [field.annotation, *getattr(field.annotation, "__args__", ())]
        inner = [p for p in parts if isinstance(p, type) and issubclass(p, BaseModel)]
        found |= set().union(*map(settings_of, inner)) if inner else {field.alias or name}
    return found


@pytest.mark.parametrize(
    ("model", "page"),
    [(Study, "study.md"), (SiteFile, "site.md"), (CoordinatorFile, "enrolment.md")],
)
def test_every_setting_of_a_file_stands_in_its_page(model: type[BaseModel], page: str) -> None:
    assert settings_of(model) - set(code_in_text(f"docs/{page}")) == set()


def test_every_setting_of_a_flower_run_is_documented() -> None:
    whole = tomllib.loads((ROOT / "pyproject.toml").read_text())
    keys = set(whole["tool"]["flwr"]["app"]["config"])
    options = [name for p in commands()["simulate"].params for name in p.opts]
    of_simulate = {name.removeprefix("--") for name in options}
    assert {"dataset", "rounds"} <= keys & of_simulate
    assert keys - of_simulate - set(code_in_text("docs/flower.md")) == set()


def test_every_algorithm_has_its_options_and_the_function_that_computes_it_in_its_page() -> None:
    told = set(code_in_text("docs/algorithms.md"))
    text = (ROOT / "docs" / "algorithms.md").read_text()
    for point in entry_points(group="wardround.algorithms"):
        assert {point.name, *point.load().options} <= told, point.name
        assert re.search(rf"^\| `{point.name}` \|.*`{point.module}:\w+`", text, re.M), point.name
        assert re.search(rf"^## (?:.*, )?{point.name}(?:, .*)?\n[^#]*\$\$", text, re.M), point.name
