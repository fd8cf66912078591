"""Flower's nodes follow the registry: twice, late, and after a crash alike."""

import time
from pathlib import Path

import pytest

from common.certificates import NodeKey, flower_form
from server.coordinator import enrolling
from server.coordinator.fleet import pending, register_pending, site_nodes
from server.coordinator.folder import CoordinatorFolder
from server.coordinator.invitations import revoke
from server.coordinator.registry import open_book
from tests.coordinating import RememberingFleet, Ward, invited, make_folder, ward

NOW = time.time()


@pytest.fixture
def folder(tmp_path: Path) -> CoordinatorFolder:
    return make_folder(tmp_path / "coordinator")


def joined(folder: CoordinatorFolder, name: str = "Ash") -> Ward:
    site = ward(name)
    enrolling.join(folder, site.application(invited(folder, name)), now=NOW)
    return site


def test_a_key_is_registered_once(folder: CoordinatorFolder) -> None:
    fleet, ash = RememberingFleet(), joined(folder)
    assert register_pending(folder, fleet)
    assert register_pending(folder, fleet)
    assert (fleet.welcome, fleet.calls) == ({flower_form(ash.node.public)}, 1)


def test_what_the_superlink_missed_is_made_up_for(folder: CoordinatorFolder) -> None:
    fleet, ash = RememberingFleet(), joined(folder)
    fleet.down = True
    assert not register_pending(folder, fleet)
    assert [node.public for node in pending(folder)] == [ash.node.public]
    fleet.down = False
    assert register_pending(folder, fleet)
    assert not pending(folder)


def test_without_a_superlink_nothing_is_lost(folder: CoordinatorFolder) -> None:
    joined(folder)
    assert not register_pending(folder)  # nothing listens at the address of the settings
    assert len(pending(folder)) == 1


def test_a_crash_after_registering_changes_nothing(folder: CoordinatorFolder) -> None:
    fleet, ash = RememberingFleet(), joined(folder)
    fleet.register(flower_form(ash.node.public), "Ash")
    assert register_pending(folder, fleet)
    assert len(fleet.known) == 1


class Overtaken(RememberingFleet):
    """Between the question who is known and the wish, another process has had the same wish."""

    def register(self, public: bytes, name: str) -> None:
        super().register(public, name)
        super().register(public, name)


def test_who_is_overtaken_by_another_process_says_nothing_of_a_refusal(
    folder: CoordinatorFolder, caplog: pytest.LogCaptureFixture
) -> None:
    joined(folder)
    assert register_pending(folder, Overtaken())
    assert not pending(folder)
    assert "rotate it" not in caplog.text


def test_a_change_of_keys_lets_the_new_one_in_and_turns_the_old_one_away(
    folder: CoordinatorFolder,
) -> None:
    fleet, ash, elm, new = RememberingFleet(), joined(folder), joined(folder, "Elm"), NodeKey.new()
    register_pending(folder, fleet)
    enrolling.rotate(folder, ash.rotation(folder.authority, new), now=NOW)
    assert register_pending(folder, fleet)
    assert fleet.welcome == {flower_form(new.public), flower_form(elm.node.public)}
    assert len(fleet.known) == 3


def test_a_revoked_site_is_turned_away_and_nobody_else(folder: CoordinatorFolder) -> None:
    fleet, ash, elm = RememberingFleet(), joined(folder), joined(folder, "Elm")
    fleet.register(b"a key that an operator has registered by hand", "by hand")
    register_pending(folder, fleet)
    assert len(fleet.welcome) == 3
    revoke(folder, "Ash", node_key=False, now=NOW)
    assert register_pending(folder, fleet)
    assert flower_form(ash.node.public) not in fleet.welcome
    assert flower_form(elm.node.public) in fleet.welcome
    assert len(fleet.welcome) == 2


def test_names_are_bound_to_nodes_by_the_keys_that_were_enrolled(
    folder: CoordinatorFolder,
) -> None:
    fleet = RememberingFleet()
    ash, _ = joined(folder), joined(folder, "Elm")
    fleet.register(b"a key of nobody", "Ash")  # a name that is merely stated
    register_pending(folder, fleet)
    assert site_nodes(folder, fleet) == {"Ash": 2, "Elm": 3}
    enrolling.rotate(folder, ash.rotation(folder.authority, NodeKey.new()), now=NOW)
    assert site_nodes(folder, fleet) == {"Elm": 3}
    register_pending(folder, fleet)
    assert site_nodes(folder, fleet) == {"Ash": 4, "Elm": 3}


def test_one_key_that_flower_refuses_does_not_hold_up_the_others(
    folder: CoordinatorFolder,
) -> None:
    fleet, ash = RememberingFleet(), joined(folder)
    fleet.register(flower_form(ash.node.public), "Ash")
    fleet.unregister(1)  # by hand, behind our back
    elm = joined(folder, "Elm")
    assert not register_pending(folder, fleet)
    assert fleet.welcome == {flower_form(elm.node.public)}


def test_a_new_superlink_is_told_of_all_members(folder: CoordinatorFolder) -> None:
    ash = joined(folder)
    register_pending(folder, RememberingFleet())
    fleet = RememberingFleet()
    assert register_pending(folder, fleet)
    assert not fleet.welcome
    assert register_pending(folder, fleet, force=True)
    assert fleet.welcome == {flower_form(ash.node.public)}


def test_a_failed_transaction_leaves_the_registry_as_it_was(folder: CoordinatorFolder) -> None:
    class Sudden(Exception):
        pass

    def fail() -> None:
        with open_book(folder.registry) as book:
            book.put_site("Ash", "aa" * 32, 1)
            raise Sudden

    with pytest.raises(Sudden):
        fail()
    with open_book(folder.registry) as book:
        assert book.sites() == []
