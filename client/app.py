"""The ClientApp: adapts the received initialization on its own episodes, answers with the update.

The same object serves the in-process grid, Flower's simulation and a deployment. Every handler
stands behind the door (client/door.py).
"""

from flwr.app import Context, Message
from flwr.clientapp import ClientApp

from client import masked_app, votes_app
from client.door import door
from client.membership import require_profile
from client.release import release
from client.site import open_site
from common.errors import InvalidMessage
from common.messages import (
    HELLO,
    UPDATE,
    Greeting,
    greeting_content,
    read_instruction,
    reply,
    update_content,
)
from common.messages.frame import study_of
from common.messages.purposes import UPDATES
from common.messages.purposes import VOTES as MASKED_VOTES
from common.messages.votes import VOTES

app = ClientApp()


@app.query(HELLO)
@door
def hello(message: Message, context: Context) -> Message:
    """Say which site this is and which study it holds."""
    opened = open_site(context.node_config, context.run_config, study_of(message.content))
    return reply(message, greeting_content(Greeting(opened.site.name, opened.study.id)))


@app.train(UPDATE)
@door
def update(message: Message, context: Context) -> Message:
    """Adapt on this round's episodes and answer with the meta-gradient alone."""
    opened = open_site(context.node_config, context.run_config, study_of(message.content))
    study, site = opened.study, opened.site
    instruction = read_instruction(message.content, dim=opened.learner.dim)
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
    app.query(purpose.route("advertise"))(door(module.advertise))
    app.query(purpose.route("deal"))(door(module.deal))
    app.train(purpose.route("input"))(door(masked))
    app.query(purpose.route("confirm"))(door(module.confirm))
    app.query(purpose.route("reveal"))(door(module.reveal))

app.query(VOTES)(door(votes_app.votes))
