"""Every example runs, ends in a figure and in a sentence that says who is ahead; and is short."""

import re
import runpy
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
FIGURES = {
    "cross_domain": ["cross_domain.svg", "cross_domain_control.svg"],
    "few_shot": ["few_shot.svg"],
    "images": ["images.svg"],
    "personalised": ["personalised.svg"],
    "sequences": ["sequences.svg"],
}
SENTENCE = re.compile(
    r"AUROC, k = 10: \S+ \d\.\d{3} is (?:not clearly )?(?:better|worse) than the best other arm, "
    r"\S+ \d\.\d{3} \(difference [+-]\d\.\d{3}, 95 % interval [+-]\d\.\d{3} to [+-]\d\.\d{3}\)\."
)


@pytest.mark.parametrize("name", FIGURES)
def test_an_example_ends_in_its_figures_and_honest_sentences(
    name: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = EXAMPLES / f"{name}.py"
    monkeypatch.setattr(sys, "argv", [str(path), "--quick", "--out", str(tmp_path / "new")])
    runpy.run_path(str(path))
    written = sorted(p.name for p in (tmp_path / "new").iterdir())
    assert written == FIGURES[name]
    assert all((tmp_path / "new" / f).read_text().startswith("<svg") for f in written)
    assert len(SENTENCE.findall(capsys.readouterr().out)) == len(written)


def test_examples_use_the_public_names_alone_are_short_and_listed() -> None:
    scripts = {path.stem: path.read_text() for path in EXAMPLES.glob("*.py")}
    assert scripts.keys() == {*FIGURES, "new_method"}
    page = (EXAMPLES.parent / "docs" / "python-api.md").read_text()
    for name, text in scripts.items():
        assert len(text.splitlines()) < 80, name
        roots = set(re.findall(r"^(?:from|import) (\w+)", text, re.MULTILINE))
        assert roots <= {"argparse", "numpy", "torch", "wardround"}, name
        assert f"`examples/{name}.py`" in page
