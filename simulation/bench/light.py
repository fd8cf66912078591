"""Light nodes of `load.py`: many in one process, each with its own keys, enrolment and line.

    python -m simulation.bench.light FOLDER NUMBER NAME...

They speak to the coordinator of FOLDER by Flower's own client, as a SuperNode does, and answer with
the messages of common/messages. What they lack is patients: an update is one small number
throughout, another one for each site. Each dials from its own loopback address, 127.0.NUMBER.x: the
edge bounds what one address may ask, and is left as it is. Each second they print how many requests
were answered.
"""

import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import httpx
from flwr.app import Message, RecordDict
from flwr.supercore.inflatable.inflatable_object import (
    get_all_nested_objects,
    get_object_tree,
    iterate_object_tree,
    no_object_id_recompute,
)
from flwr.supercore.inflatable.inflatable_utils import (
    ObjectPullError,
    ObjectPushError,
    pull_objects,
)
from flwr.supercore.run import RunNotRunningException
from flwr.supernode import fleet_http_connection as connection
from flwr.supernode.fleet_http_client import FleetHttpClient

from client.executor.flower import FIRST_WAIT_S, LONGEST_WAIT_S
from client.executor.supernode import IDLE_S
from common.certificates import NodeKey
from common.crypto import SigningKey, fresh_key
from common.enrolment import apply
from common.learner import make_learner
from common.messages import (
    HELLO_TYPE,
    Greeting,
    greeting_content,
    read_instruction,
    reply,
    update_content,
)
from common.messages.wire import read_message
from common.pace import Pace
from common.study import Study
from server.coordinator.enrolling import join
from server.coordinator.fleet import pending
from server.coordinator.folder import CoordinatorFolder, open_folder
from server.coordinator.invitations import invite
from server.coordinator.running import place_of

AWAY_S, STEP = 2.0, 1e-6


class Tally:
    """A count of what was answered, of all threads."""

    def __init__(self) -> None:
        self.total, self._lock = 0, threading.Lock()

    def add(self) -> None:
        """Count one more."""
        with self._lock:
            self.total += 1


_answered, _here = Tally(), threading.local()


def main(path: str, number: str, *names: str) -> None:
    """Enrol the sites, connect them, and answer until the process is ended."""
    folder = open_folder(Path(path))
    study = place_of(folder).study
    keys = {name: enrol(folder, name) for name in names}
    while pending(folder):  # the edge tells Flower of them
        time.sleep(1.0)
    vars(connection)["FleetHttpClient"] = FromHere
    answers = Answers(study)
    for place, (name, key) in enumerate(keys.items(), 2):
        given = (folder, f"127.0.{number}.{place}", name, key, answers)
        threading.Thread(target=_stay, args=given, daemon=True).start()
    while True:
        time.sleep(1.0)
        sys.stdout.write(f"{time.time():.3f} {_answered.total}\n")
        sys.stdout.flush()


def enrol(folder: CoordinatorFolder, name: str) -> NodeKey:
    """Have a site join by an invitation, as the edge would, and return its node key."""
    code = invite(folder, name, ttl_s=3600, now=time.time())
    identity, key = SigningKey(fresh_key()), NodeKey.new()
    application = apply(code, name, identity, key)
    join(folder, application.text, now=time.time())
    return key


class FromHere(FleetHttpClient):
    """Flower's client; it dials from the thread's own address and counts what is answered."""

    def __init__(self, base_url: str, *, verify: Any = True, **more: Any) -> None:
        super().__init__(base_url, verify=verify, **more)
        self._client.close()
        transport = httpx.HTTPTransport(verify=verify, local_address=_here.address)
        self._client = httpx.Client(transport=transport, timeout=30.0, trust_env=False)

    def _unary_unary(self, **call: Any) -> Any:
        answer = super()._unary_unary(**call)
        _answered.add()
        return answer


class Answers:
    """What a study's sites without patients answer."""

    def __init__(self, study: Study) -> None:
        self._study, self._dim = study, make_learner(study, seed=0).dim

    def content(self, asked: Message, site: str) -> RecordDict:
        """Return a site's answer to a hello, or an update for an instruction."""
        if asked.metadata.message_type == HELLO_TYPE:
            return greeting_content(Greeting(site, self._study.id))
        told = read_instruction(asked.content, dim=self._dim)
        number = [one.name for one in self._study.sites].index(site) + 1
        update = told.theta.new_full((self._dim,), STEP * number)
        return update_content(told.study, told.round_index, update)


def _stay(
    folder: CoordinatorFolder, address: str, name: str, key: NodeKey, answers: Answers
) -> None:
    """Be connected from an address, and again when the line has ended."""
    _here.address = address
    keys, ca = (key._key, key._key.public_key()), folder.ca.read_bytes()
    while True:
        line = connection.http_request_response(folder.settings.address, False, ca, keys)
        try:
            with line as (_, receive, send, _, _, pull, push, confirm):
                serve(receive, send, (pull, push, confirm), partial(answers.content, site=name))
        except (httpx.HTTPError, ObjectPullError, ObjectPushError) as error:
            sys.stderr.write(f"{name}: {error}\n")
        time.sleep(AWAY_S)


def serve(
    receive: Callable[[], Any],
    send: Callable[..., Any],
    objects: tuple[Callable[..., bytes], Callable[..., None], Callable[..., None]],
    answer: Callable[[Message], RecordDict],
) -> None:
    """Ask for messages and answer them, one at a time; objects: pull, push and confirm."""
    pace = Pace(0.05, IDLE_S)
    pull, push, confirm = objects
    while True:
        try:
            if (given := receive()) is None:
                time.sleep(pace.next())
                continue
            pace.reset()
            head, tree = given
            asked = _inflated(head, tree, pull, confirm)
            _push(reply(asked, answer(asked)), send, push)
        except RunNotRunningException:  # what was asked in a run that has ended
            pace.reset()


def _inflated(
    head: Message, tree: Any, pull: Callable[..., bytes], confirm: Callable[..., None]
) -> Message:
    """Return a message with its content, and tell that it was received."""
    run, names = head.metadata.run_id, [part.object_id for part in iterate_object_tree(tree)]
    contents = pull_objects(
        names, partial(pull, run), initial_backoff=FIRST_WAIT_S, backoff_cap=LONGEST_WAIT_S
    )
    confirm(run, head.metadata.message_id)
    message = read_message(tree.object_id, contents)
    message.metadata.__dict__["_message_id"] = head.metadata.message_id
    return message


def _push(answer: Message, send: Callable[..., Any], push: Callable[..., None]) -> None:
    answer.metadata.__dict__["_message_id"] = answer.object_id
    with no_object_id_recompute():
        missing, session = send(answer, get_object_tree(answer), 0.0)
        for name, part in get_all_nested_objects(answer).items():
            if name in missing:
                push(answer.metadata.run_id, session, name, part.deflate())


if __name__ == "__main__":
    main(*sys.argv[1:])
