"""Documents are true: settings, algorithms and commands are named; nothing else intrudes."""

import re
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest
import typer.main
from pydantic import BaseModel

from common.cli import FAMILIES, make_app
from common.study import Study

ROOT = Path(__file__).parent.parent


def settings_of(model: type[BaseModel]) -> set[str]:
    found: set[str] = set()
    for name, field in model.model_fields.items():
        found.add(field.alias or name)
        for part in [field.annotation, *getattr(field.annotation, "__args__", ())]:
            if isinstance(part, type) and issubclass(part, BaseModel):
                found |= settings_of(part)
    return found


def test_every_setting_of_a_study_is_documented() -> None:
    text = (ROOT / "docs" / "study.md").read_text()
    missing = {name for name in settings_of(Study) if f"`{name}`" not in text}
    assert not missing


def test_every_setting_of_a_coordinator_is_documented() -> None:
    from server.coordinator.settings import CoordinatorFile

    text = (ROOT / "docs" / "enrolment.md").read_text()
    missing = {name for name in settings_of(CoordinatorFile) if f"`{name}`" not in text}
    assert not missing - {"edge", "limits", "superlink", "paths"}


def test_the_example_study_in_the_documents_is_valid(tmp_path: Path) -> None:
    from common.study import read_study

    (example,) = re.findall(r"```toml\n(.*?)```", (ROOT / "docs" / "study.md").read_text(), re.S)
    (tmp_path / "study.toml").write_text(example)
    assert read_study(tmp_path / "study.toml").tasks[0].name == "gout"


def test_every_setting_of_a_hospital_is_documented() -> None:
    from client.site_file import SiteFile

    text = (ROOT / "docs" / "site.md").read_text()
    missing = {name for name in settings_of(SiteFile) if f"`{name}`" not in text}
    assert not missing


def test_the_example_of_a_hospital_in_the_documents_is_valid(tmp_path: Path) -> None:
    from client.site_file import read_site_file

    (example,) = re.findall(r"```toml\n(.*?)```", (ROOT / "docs" / "site.md").read_text(), re.S)
    (tmp_path / "site.toml").write_text(example)
    assert read_site_file(tmp_path).rows.missing == ("?", -9)


def test_every_algorithm_is_documented() -> None:
    text = (ROOT / "docs" / "algorithms.md").read_text()
    for name in entry_points(group="wardround.algorithms").names:
        assert f"| `{name}` |" in text


def test_the_example_algorithm_in_the_documents_runs() -> None:
    from common.algorithms.base import Algorithm

    (example,) = re.findall(
        r"```python\n(.*?)```", (ROOT / "docs" / "algorithms.md").read_text(), re.S
    )
    names: dict[str, object] = {}
    exec(compile(example, "docs/algorithms.md", "exec"), names)
    assert isinstance(names["MY_REPTILE"], Algorithm)


def test_every_command_and_option_has_a_help_text() -> None:
    commands = dict(getattr(typer.main.get_command(make_app()), "commands", {}))
    for family in FAMILIES:
        inner = commands[family].commands
        commands |= {f"{family} {name}": command for name, command in inner.items()}
    assert {"simulate", "node", "node budget"} <= commands.keys()
    for command in commands.values():
        assert command.help
        for parameter in command.params:
            # typer 0.20 loses the help of arguments (with click 8.4 on): the command's tells it
            argument = parameter.param_type_name == "argument"
            metavar = parameter.metavar or str(parameter.name).upper()
            told = metavar in command.help if argument else getattr(parameter, "help", None)
            assert told, f"{command.name} {parameter.name}"


PAGES = sorted(
    p.relative_to(ROOT).as_posix() for p in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
)


@pytest.mark.parametrize("page", PAGES)
def test_every_link_and_path_in_a_page_exists(page: str) -> None:
    text = (ROOT / page).read_text()
    for target in re.findall(r"\]\(([^)#]+)\)", text):
        if target.startswith("https://"):
            continue
        assert (ROOT / page).parent.joinpath(target).exists(), f"{page} links to {target}"
    for target in re.findall(
        r"\b((?:docs|tests|common|client|server|simulation)/[\w/.-]+\.(?:md|py))\b", text
    ):
        assert (ROOT / target).exists(), f"{page} names {target}"


def test_decisions_are_short() -> None:
    for path in (ROOT / "docs" / "decisions").glob("*.md"):
        assert len(path.read_text().splitlines()) <= 40, path.name


def test_help_is_quick_because_nothing_heavy_is_imported() -> None:
    script = "import sys; from common.cli import make_app; make_app(); print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, check=True
    )
    assert not {"torch", "flwr", "sklearn", "pandas", "scipy"} & set(done.stdout.split())
