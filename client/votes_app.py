"""A site's handlers of the messages about metrics; `client.app` registers them."""

from flwr.app import Context, Message

from client.membership import require_profile
from client.site import open_site
from client.votes import release_votes
from common.messages import reply
from common.messages.votes import read_votes_request, votes_content


def votes(message: Message, context: Context) -> Message:
    """Answer with the noised histogram of the received model's scores."""
    opened = open_site(context.node_config, context.run_config)
    study, learner = opened.study, opened.learner
    request = read_votes_request(message.content, study=study.id, dim=learner.dim)
    require_profile(study, masked=False)
    return reply(message, votes_content(request, release_votes(opened, request)))
