"""What is given away works outside the checkout: the sdist builds the wheel, the wheel runs."""

import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from common.study import make_study, study_toml
from tests.conftest import ward_settings, ward_table

ROOT = Path(__file__).parent.parent
PACKAGES = ("client", "common", "server", "simulation", "wardround")


def build(source: Path, output: Path, kind: str) -> Path:
    command = [sys.executable, "-m", "hatchling", "build", "-t", kind, "-d", str(output)]
    subprocess.run(command, cwd=source, check=True, capture_output=True, timeout=120)
    (made,) = output.iterdir()
    return made


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The unpacked source distribution."""
    folder = tmp_path_factory.mktemp("sdist")
    with tarfile.open(build(ROOT, folder / "built", "sdist")) as archive:
        archive.extractall(folder, filter="data")
    (unpacked,) = (path for path in folder.iterdir() if path.name != "built")
    return unpacked


@pytest.fixture(scope="module")
def site(sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel's content, as pip would install it."""
    folder = tmp_path_factory.mktemp("wheel")
    with zipfile.ZipFile(build(sdist, folder / "built", "wheel")) as archive:
        archive.extractall(folder / "site")
    # The extra `fast` would compile for a minute; the package works without it.
    (folder / "numba.py").write_text("raise ModuleNotFoundError")
    return folder / "site"


def python(site: Path, *arguments: str) -> str:
    """Run Python outside the checkout, with the wheel before all else on its path."""
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=site.parent,
        env={**os.environ, "PYTHONPATH": f"{site}:{site.parent}"},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_source_distribution_holds_what_a_contributor_needs(sdist: Path) -> None:
    for name in ("Makefile", "constraints.txt", "CITATION.cff", "LICENSE", "CONTRIBUTING.md"):
        assert (sdist / name).is_file(), name
    assert (sdist / "tests" / "test_distribution.py").is_file()


def test_the_wheel_holds_types_pages_and_no_tests(site: Path) -> None:
    top = {path.name for path in site.iterdir() if not path.name.endswith(".dist-info")}
    assert top == {*PACKAGES}
    assert all((site / package / "py.typed").is_file() for package in PACKAGES)
    assert list((site / "server" / "page" / "templates").glob("*.html"))
    assert list((site / "server" / "page" / "static").iterdir())
    (licence,) = site.glob("*.dist-info/licenses/LICENSE")
    assert licence.read_text() == (ROOT / "LICENSE").read_text()


def test_the_wheel_runs_a_federation_outside_the_checkout(site: Path, tmp_path: Path) -> None:
    where = "import common, server.page; print(common.__file__)"
    assert python(site, "-c", where).strip() == str(site / "common" / "__init__.py")
    table, study, run = (tmp_path / name for name in ("wards.csv", "wards.toml", "run"))
    ward_table(patients=60).to_csv(table, index=False)
    study.write_text(study_toml(make_study(ward_settings(), where="test")))
    given = ("--dataset", "table", "--study", study, "--data", table)
    settings = (*given, "--rounds", 1, "--workers", 1, "--output", run)
    command = "from common.cli import main; main()"
    python(site, "-c", command, "simulate", *map(str, settings))
    assert (tmp_path / "run" / "report.html").is_file()
