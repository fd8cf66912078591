"""docs/node-service.md names what an engineer meets."""

import re
from pathlib import Path

from client.executor import executor, troubles
from client.executor.codes import OTHER
from client.site_file import ServiceSettings

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "node-service.md").read_text()


def test_every_setting_of_the_service_is_documented() -> None:
    assert not {name for name in ServiceSettings.model_fields if f"| `{name}` |" not in PAGE}


def test_every_code_is_explained() -> None:
    codes = {executor.WRONG_BUNDLE, executor.NO_APPROVALS, executor.UNKNOWN, OTHER}
    codes |= {executor.WRONG_REPLY, executor.UNSENDABLE}
    codes |= {troubles.UNKNOWN_NODE, troubles.BAD_CERTIFICATE, troubles.REFUSED}
    source = "".join(
        (ROOT / "client" / "executor" / name).read_text() for name in ("flower.py", "supernode.py")
    )
    codes |= set(re.findall(r'(?:Unreadable|TaskLost)\("([a-z-]+)"\)', source))
    codes |= set(re.findall(r'return "([a-z-]+)"', source))
    assert len(codes) > 12
    assert not {code for code in codes if f"`{code}`" not in PAGE}


def test_every_metric_is_named() -> None:
    names = re.findall(r'"(wardround_\w+)"', (ROOT / "client/executor/gauges.py").read_text())
    assert len(names) == 5
    assert not {name for name in names if name not in PAGE}
