"""`--engine ray`: the real apps on Flower's runtime learn what the other engines learn."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from common.learner import make_learner
from server.state import read_records
from simulation.bench.measure import descendants
from simulation.source import make_plan, tailored
from simulation.training import EngineSettings, train

pytestmark = pytest.mark.e2e


@pytest.mark.parametrize("privacy", [{}, {"clip_norm": 0.05, "noise_multiplier": 1.0}])
def test_ray_agrees_with_the_other_engines_and_leaves_no_process(
    privacy: dict[str, float], wards: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    settings = wards(privacy=privacy, server={"rounds": 5, "deadline_s": 120})
    study = tailored(make_plan(settings), settings)
    script = (
        "import json, sys; from pathlib import Path; from common.study import read_study;"
        "from simulation.training import EngineSettings, train;"
        "train(read_study(Path(sys.argv[1])), json.loads(sys.argv[2]), Path(sys.argv[3]),"
        " engine=EngineSettings(name='ray'))"
    )
    vectorized = train(study, settings, tmp_path / "v", engine=EngineSettings(workers=1))
    arguments = [str(tmp_path / "v" / "study.toml"), json.dumps(settings)]
    # Ray's runtime sets handlers and threads of its own: a process apart keeps them from the tests.
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments, str(tmp_path / "ray")],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    records = read_records(tmp_path / "ray", study, make_learner(study, seed=0))
    assert [len(r.accepted) for r in records] == [4] * 5
    resumed = train(study, settings, tmp_path / "ray", engine=EngineSettings(workers=1))
    for name in vectorized:
        torch.testing.assert_close(resumed[name], vectorized[name], rtol=0, atol=1e-5)
    time.sleep(1)
    assert not [pid for pid in descendants(os.getpid()) if "ray" in _command(pid)]
    assert not [p for p in _processes() if str(tmp_path) in p and "ray" in p]


API = """
import json, sys
import wardround as wr

small = wr.hospitals("synthetic", sites=12)
run = wr.federate("reptile", small, rounds=2, engine=sys.argv[1], workers=1)
print(json.dumps({name: value.tolist() for name, value in run.meta.items()}))
"""


def test_the_python_api_runs_the_apps_on_ray() -> None:
    found = [_learned(engine) for engine in ("vectorized", "ray")]
    assert found[0].keys() == found[1].keys()
    for name, value in found[0].items():
        torch.testing.assert_close(found[1][name], value, rtol=0, atol=1e-5)


def _learned(engine: str) -> dict[str, torch.Tensor]:
    """Return what a process of its own learns on an engine."""
    words = [sys.executable, "-c", API, engine]
    done = subprocess.run(words, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    last = json.loads(done.stdout.splitlines()[-1])
    return {name: torch.tensor(value) for name, value in last.items()}


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return ""


def _processes() -> list[str]:
    return [_command(int(p.name)) for p in Path("/proc").iterdir() if p.name.isdigit()]
