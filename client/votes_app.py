"""A site's handlers of the messages about metrics; `client.app` registers them.

In the masked profile votes are summed in sessions of their own, by the very steps of updates.
"""

from flwr.app import Context, Message

from client import masked_app
from client.membership import require_profile
from client.site import open_site
from client.votes import made_from, release_votes
from common.messages import reply
from common.messages.frame import study_of
from common.messages.masked import input_content
from common.messages.purposes import VOTES
from common.messages.votes import (
    read_masked_votes_request,
    read_votes_request,
    votes_content,
)
from common.privacy.masking.statements import theta_digest


def votes(message: Message, context: Context) -> Message:
    """Answer with the noised histogram of the received model's scores."""
    opened = open_site(context.node_config, context.run_config, study_of(message.content))
    study, learner = opened.study, opened.learner
    request = read_votes_request(message.content, study=study.id, dim=learner.dim)
    require_profile(study, masked=False)
    return reply(message, votes_content(request, release_votes(opened, request)))


def advertise(message: Message, context: Context) -> Message:
    """Join a session for votes."""
    return masked_app.advertise(message, context, VOTES)


def deal(message: Message, context: Context) -> Message:
    """Deal shares of this site's secrets."""
    return masked_app.deal(message, context, VOTES)


def masked_votes(message: Message, context: Context) -> Message:
    """Answer with the noised histogram under its masks."""
    opened, masker = masked_app.open_member(message, context, VOTES)
    study, dim = opened.study, opened.learner.dim
    with masker.burning():
        asked = read_masked_votes_request(message.content, study=study.id, dim=dim)
        told = masker.state().revealed(asked.call.round)
        fresh = 1 + asked.call.deck.turn if told else 0
        words = masker.masked_input(
            asked.call,
            theta_digest(bytes.fromhex(made_from(asked.votes))),
            lambda: release_votes(opened, asked.votes, fresh=fresh).astype(float),
            fresh=told,
        )
        return reply(message, input_content(asked.call, words))


def confirm(message: Message, context: Context) -> Message:
    """Sign whose histograms are added up."""
    return masked_app.confirm(message, context, VOTES)


def reveal(message: Message, context: Context) -> Message:
    """Tell the shares of a turn in which a site has dropped out."""
    return masked_app.reveal(message, context, VOTES)
