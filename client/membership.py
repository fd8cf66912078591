"""Who a site is in secure aggregation: its identity, its roster, its own minima.

A hospital says in site.toml where the roster is that the hospitals have signed, and under `limits`:

    min_cohort   so many sites at least in every sum
    colluders    how many peers it allows for that are in league with the coordinator
    fast_path    whether it tells shares of self-masks in the second phase if nobody drops out

In its `state` folder it keeps identity.key, the secret half of the key that the roster names (mode
0600), roster.json, the roster that it has accepted, and what secure aggregation must remember.
"""

from functools import lru_cache
from pathlib import Path

from client.identity import read_identity
from client.masking import FileStore, Masker, Store, milliseconds
from client.site import Opened
from client.site_file import Limits
from common.crypto import SigningKey, derive
from common.errors import InvalidMessage, SettingsError
from common.files import write_atomically
from common.messages.purposes import UPDATES, Purpose
from common.privacy.histograms import CELLS
from common.privacy.masking.member import Seat
from common.privacy.masking.roster import Roster, check_roster, read_roster, roster_text
from common.privacy.masking.rules import SMALLEST_COHORT, Policy, today_of
from common.sources import RunSettings, simulated_source, virtual_identity
from common.study import Study

ROSTER_FILE = "roster.json"


def open_masker(
    opened: Opened, run: RunSettings, memory: Store, purpose: Purpose = UPDATES
) -> Masker:
    """Return the site's part in secure aggregation; memory: a virtual site's.

    Raises:
        SettingsError: a setting is missing, or the roster, the study and this site do not agree.
    """
    study, site, hospital = opened.study, opened.site, opened.hospital
    if hospital is None:
        key, store = SigningKey(virtual_identity(site.key)), memory
        roster = _virtual_roster(frozenset(run.items()))
        fast_path = bool(run.get("fast-path", True))
        limits = Limits(min_cohort=SMALLEST_COHORT, fast_path=fast_path)
    else:
        secret = read_identity(hospital.state)
        key = SigningKey(secret)
        store = masking_store(hospital.state, study, secret, purpose)
        roster = accept_roster(hospital.roster, hospital.state)
        limits = hospital.rules.limits
    dim = opened.learner.dim if purpose == UPDATES else CELLS
    policy = policy_of(study, dim, limits, purpose)
    check_agreement(study, roster, site.name, key)
    return Masker(Seat(site.name, key, roster, policy), store)


def masking_store(
    folder: Path, study: Study, secret: bytes, purpose: Purpose = UPDATES
) -> FileStore:
    """Return where a hospital keeps what it must remember of a study's secure aggregation.

    secret: of the site's identity, which the key at rest is derived from.
    """
    return FileStore(folder / f"{purpose.name}-{study.id[:16]}", derive(secret, "at rest"))


def require_profile(study: Study, *, masked: bool) -> None:
    """Refuse the message type of another profile: no server decides how updates are protected.

    Raises:
        InvalidMessage: the study is not run with secure aggregation, or only with it.
    """
    if (study.privacy.profile == "masked") != masked:
        raise InvalidMessage(
            "wrong-profile",
            f"the study's privacy profile is {study.privacy.profile}",
            where=study.name,
            remedy="let the server run this very study",
        )


def check_agreement(study: Study, roster: Roster, name: str, key: SigningKey) -> None:
    """Return if the roster has the study's sites with its weights, and this site with its key.

    Raises:
        SettingsError: it has not.
    """
    listed = {site.name: site for site in roster.sites}
    weights = {name: site.weight for name, site in listed.items()}
    study_weights = {site.name: site.weight for site in study.sites}
    if not study_weights or not study_weights.items() <= weights.items():
        raise _disagreement("the study's sites and weights are not those of the roster")
    if name not in study_weights or listed[name].public_key != key.public.hex():
        raise _disagreement(f"the roster has not this site's key {key.public.hex()} for {name}")


def accept_roster(path: Path, folder: Path) -> Roster:
    """Return the roster at `path`, which is kept in `folder` from when it was first accepted.

    Raises:
        SettingsError: it cannot be read, or too few hospitals have signed it.
    """
    try:
        signed = read_roster(path.read_text(encoding="utf-8"), where=str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(
            "the roster cannot be read", where=str(path), remedy="name the federation's roster"
        ) from error
    kept, previous = folder / ROSTER_FILE, None
    if kept.exists():
        previous = read_roster(kept.read_text(encoding="utf-8"), where=str(kept)).roster
    if previous == signed.roster:
        return previous
    roster = check_roster(signed, previous, today=today_of(milliseconds()), where=str(path))
    write_atomically(kept, roster_text(signed).encode())
    return roster


@lru_cache(maxsize=8)
def _virtual_roster(run: frozenset[tuple[str, str | int | float | bool]]) -> Roster:
    return read_roster(simulated_source().roster(dict(run)), where="simulation").roster


def policy_of(study: Study, dim: int, limits: Limits, purpose: Purpose = UPDATES) -> Policy:
    """Return a site's own minima in a purpose's sessions for vectors [dim]."""
    return Policy(
        study=purpose.terms(study.id),
        dim=dim,
        min_cohort=limits.min_cohort,
        colluders=limits.colluders,
        fast_path=limits.fast_path,
    )


def _disagreement(what: str) -> SettingsError:
    return SettingsError(
        what, where="roster", remedy="agree with the other hospitals on one study and one roster"
    )
