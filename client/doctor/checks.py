"""All checks of a node, in the order in which one would mend things."""

from functools import partial
from pathlib import Path

from client.doctor import local
from client.doctor.finding import Check, Finding, failed
from client.hospital import open_hospital
from common.errors import SettingsError


def checks_of(folder: Path, *, offline: bool) -> dict[str, Check]:
    """Return the checks of a node's folder by name; without rules there is nothing to check."""
    try:
        hospital = open_hospital(folder)
    except SettingsError as error:
        broken: list[Finding] = [failed("rules", error)]
        return {"rules": lambda: iter(broken)}
    checks: dict[str, Check] = {
        "rules": partial(local.check_rules, hospital),
        "account": local.check_account,
        "keys": partial(local.check_keys, hospital),
        "books": partial(local.check_books, hospital),
        "disk": partial(local.check_disk, hospital),
        "studies": partial(local.check_studies, hospital),
    }
    if not offline:
        from client.doctor.network import check_network

        checks["network"] = partial(check_network, hospital)
    return checks
