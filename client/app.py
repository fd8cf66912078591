"""The ClientApp: adapts the received initialization on its own episodes, answers with the update.

The same object serves the in-process grid, Flower's simulation and a deployment. Whatever goes
wrong here stays in the site's own log; upward goes a reason code, never an exception's text.
"""

import logging
from collections.abc import Callable
from functools import wraps

import torch
from flwr.app import Context, Message
from flwr.clientapp import ClientApp

from client import masked_app, votes_app
from client.membership import require_profile
from client.release import release
from client.site import open_site
from common.errors import InvalidMessage
from common.messages import (
    HELLO,
    UPDATE,
    Greeting,
    error_reply,
    greeting_content,
    read_instruction,
    reply,
    update_content,
)
from common.messages.purposes import UPDATES
from common.messages.purposes import VOTES as MASKED_VOTES
from common.messages.votes import VOTES

log = logging.getLogger("wardround.client")
Handler = Callable[[Message, Context], Message]

app = ClientApp()


def answers_with_code(handler: Handler) -> Handler:
    """Turn any exception of `handler` into a reply that names its kind only."""

    @wraps(handler)
    def guarded(message: Message, context: Context) -> Message:
        torch.set_num_threads(1)
        try:
            return handler(message, context)
        except Exception as error:
            log.exception("%s failed", handler.__name__)
            code = error.code if isinstance(error, InvalidMessage) else type(error).__name__
            return error_reply(message, code)

    return guarded


@app.query(HELLO)
@answers_with_code
def hello(message: Message, context: Context) -> Message:
    """Say which site this is and which study it holds."""
    study, site, *_ = open_site(context.node_config, context.run_config)
    return reply(message, greeting_content(Greeting(site.name, study.id)))


@app.train(UPDATE)
@answers_with_code
def update(message: Message, context: Context) -> Message:
    """Adapt on this round's episodes and answer with the meta-gradient alone."""
    opened = open_site(context.node_config, context.run_config)
    study, site, learner, _ = opened
    instruction = read_instruction(message.content, dim=learner.dim)
    if instruction.study != study.id:
        raise InvalidMessage(
            "wrong-study",
            "the server runs another study",
            where=site.name,
            remedy="agree on one study.toml",
        )
    require_profile(study, masked=False)
    vector = release(opened, instruction, run=str(message.metadata.run_id))
    return reply(message, update_content(study.id, instruction.round_index, vector))


for purpose, module, masked in (
    (UPDATES, masked_app, masked_app.masked_input),
    (MASKED_VOTES, votes_app, votes_app.masked_votes),
):
    app.query(purpose.route("advertise"))(answers_with_code(module.advertise))
    app.query(purpose.route("deal"))(answers_with_code(module.deal))
    app.train(purpose.route("input"))(answers_with_code(masked))
    app.query(purpose.route("confirm"))(answers_with_code(module.confirm))
    app.query(purpose.route("reveal"))(answers_with_code(module.reveal))

app.query(VOTES)(answers_with_code(votes_app.votes))
