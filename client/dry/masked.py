"""A session of secure aggregation with stand-ins for the other sites, to see this site's messages.

All keys are thrown away, this site's too: nothing here is signed by the hospital's identity, and no
part of it could be used in a real session.
"""

from collections.abc import Iterator

import numpy as np
from flwr.app import RecordDict
from numpy.typing import NDArray

from client.masking import Masker, MemoryStore, milliseconds
from client.membership import policy_of
from client.site import Opened
from client.site_file import Limits
from common.crypto import SigningKey, fresh_key
from common.messages.masked import (
    confirmation_content,
    deal_content,
    input_content,
    offer_content,
)
from common.messages.purposes import UPDATES, Purpose
from common.privacy.masking.member import Seat
from common.privacy.masking.roster import Roster, lasting_sites
from common.privacy.masking.rules import TURNS, Policy, threshold_of
from common.privacy.masking.session import Session
from common.privacy.masking.statements import Call, Context

Said = tuple[str, RecordDict]
"""A message's name and its content."""


def masked_messages(
    opened: Opened,
    limits: Limits,
    theta: str,
    vector: NDArray[np.float64],
    purpose: Purpose = UPDATES,
) -> Iterator[Said]:
    """Yield what this site says up to a session's first turn.

    theta: the hash that binds the masks. vector: [d], what they cover.
    """
    me, context, maskers = _members(opened, policy_of(opened.study, len(vector), limits, purpose))
    offers = {name: masker.advertise(context.text) for name, masker in maskers.items()}
    yield purpose.route("advertise"), offer_content(offers[me])
    everybody = tuple(offers.values())
    dealt = {name: masker.deal(everybody) for name, masker in maskers.items()}
    yield purpose.route("deal"), deal_content(dealt[me])
    session = Session(context, everybody, dealt)
    call = Call(deck=session.deck(0), round=1, asked=session.members)
    words = maskers[me].masked_input(call, theta, lambda: vector)
    yield purpose.route("input"), input_content(call, words)
    cells = session.cells(0, me, call.asked) if context.fast_path else b""
    yield (
        purpose.route("confirm"),
        confirmation_content(0, maskers[me].confirm(0, call.asked, cells)),
    )


def _members(opened: Opened, policy: Policy) -> tuple[str, Context, dict[str, Masker]]:
    study, keys = opened.study, {s.name: SigningKey(fresh_key()) for s in opened.study.sites}
    sites = lasting_sites(keys, {site.name: site.weight for site in study.sites})
    roster = Roster(federation="dry run", epoch=1, sites=sites)
    context = Context(
        federation=roster.federation,
        study=policy.study,
        roster=roster.hash,
        cohort=tuple(keys),
        threshold=threshold_of(len(keys)),
        turns=TURNS,
        dim=policy.dim,
        opened=milliseconds(),
        fast_path=policy.fast_path,
    )
    seats = {name: Seat(name, key, roster, policy) for name, key in keys.items()}
    return opened.site.name, context, {n: Masker(s, MemoryStore()) for n, s in seats.items()}
