"""What the page shows, what it never shows, and whose wishes it takes down."""

import json
from html.parser import HTMLParser
from typing import Any

import pytest

from server.control import read_wish, set_wish
from server.page.app import make_page
from tests.page_run import HOSTILE, METRICS, RunFolder, make_run, sites
from tests.server.page.conftest import BEARER, Visitor


class Tags(HTMLParser):
    """Collects the tags of a page, and the attributes that could run or fetch something."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]


def test_the_page_names_the_study_and_what_its_profile_does_not_protect(visitor: Visitor) -> None:
    text = visitor.page()
    assert "Predict gout from a routine visit" in text
    assert visitor.app.state.live.study.id in text
    assert "profile masked" in text
    assert "Poisoning: a masked update cannot be looked at" in text


def test_the_first_answer_shows_rounds_without_any_script(run: RunFolder, visitor: Visitor) -> None:
    run.rounds(1, 6)
    run.rounds(7, 7, accepted=["Ash", "Birch", "Cedar"], dropped={"Dale": "norm-too-large"})
    run.status("running", 7)
    text = visitor.page()
    assert "<b>7</b> of 90" in text
    assert "sent an update that is too large" in text
    assert "3 of 4" in text


def test_a_hostile_name_is_text(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("hostile")
    names = {"name": HOSTILE, "purpose": f"{HOSTILE}'\"", "tasks": [{"name": "t", "column": "c"}]}
    run = make_run(folder, sites=sites(Ash={"name": HOSTILE}), **names)
    why = "</p><img src=x onerror=alert(1)>"
    run.rounds(1, 1, accepted=["Birch"], dropped={HOSTILE: f"error-2 {HOSTILE}"})
    run.status("failed", 1, why)
    metrics = METRICS | {"note": HOSTILE, "missing": {HOSTILE: HOSTILE}}
    (folder / "metrics.json").write_text(json.dumps(metrics))
    visitor = Visitor(make_page(folder, token_hash=None))
    honest = Visitor(make_page(make_run(folder / "honest").folder, token_hash=None))
    text, tags = visitor.page(), Tags(visitor.page())
    assert HOSTILE not in text
    assert tags.tags.count("script") == Tags(honest.page()).tags.count("script") == 1
    assert "img" not in tags.tags
    assert not [name for name, _ in tags.attributes if name.startswith("on") or name == "style"]


def test_fragments_that_are_sent_later_are_escaped_too(run: RunFolder, visitor: Visitor) -> None:
    live = visitor.app.state.live
    live.refresh()
    run.rounds(1, 1, accepted=[], closed=False, dropped={HOSTILE: HOSTILE})
    live.clock = lambda: float("inf")
    live.refresh()
    changes = live.changes("")
    assert "&lt;script&gt;" in changes.html["rounds"]
    assert "<script" not in json.dumps(changes.html)


def test_nothing_comes_from_another_host(visitor: Visitor) -> None:
    tags = Tags(visitor.page())
    links = [value for name, value in tags.attributes if name in ("src", "href", "action")]
    assert links
    assert not [link for link in links if "//" in link or link.startswith("data:")]
    for link in links:
        if link.startswith("static/"):
            assert visitor.ask("GET", f"/{link}").status_code == 200


def test_few_patients_are_never_shown_as_a_number(run: RunFolder, visitor: Visitor) -> None:
    run.rounds(1, 2)
    (run.folder / "metrics.json").write_text(json.dumps(METRICS))
    text = visitor.page()
    assert "&lt;20" in text
    assert "2,009" in text
    assert '<td role="cell" data-label="Declared patients" class="num">19' not in text
    assert "1990" not in text  # the classes that metrics.json holds
    assert "101" not in text.replace(visitor.app.state.live.study.id, "")


def test_epsilon_is_shown_for_sites_that_allow_it(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("epsilon")
    hidden = Visitor(make_page(make_run(folder / "a").folder, token_hash=None))
    assert "Epsilon" not in hidden.page()
    run = make_run(folder / "b", sites=sites(Birch={"show_epsilon": True}))
    text = Visitor(make_page(run.folder, token_hash=None)).page()
    assert text.count("not shown") == 3
    assert "at sites that allow it to be shown" in text
    assert "Its noise follows from the seed" not in text


def test_a_simulations_epsilon_is_called_one(tmp_path_factory: pytest.TempPathFactory) -> None:
    run = make_run(tmp_path_factory.mktemp("sim"), sites=sites(Birch={"show_epsilon": True}))
    (run.folder / "run.json").write_text("{}")
    assert "This was a simulation" in Visitor(make_page(run.folder, token_hash=None)).page()


def test_measured_tasks_are_shown_with_their_errors(run: RunFolder, visitor: Visitor) -> None:
    assert "only where sites vote" in visitor.page()
    (run.folder / "metrics.json").write_text(json.dumps(METRICS))
    visitor.app.state.live.clock = lambda: float("inf")
    text = visitor.page()
    assert "0.812" in text
    assert "± 0.021" in text
    assert "lost in the noise" in text
    assert "lupus is not measured: too few patients are declared." in text


@pytest.mark.parametrize(("wish", "phase"), [("pause", "running"), ("run", "paused")])
def test_the_holder_of_the_token_has_a_wish(
    wish: str, phase: str, run: RunFolder, visitor: Visitor
) -> None:
    run.status(phase, 3)  # type: ignore[arg-type]
    set_wish(run.folder, "stop")
    assert visitor.wish(wish, **BEARER).status_code == 200
    assert read_wish(run.folder) == wish


@pytest.mark.parametrize(
    "authorization",
    [
        *("", "Bearer", "Bearer ", "Bearer wrong", "Basic dXNlcjpwYXNz"),
        BEARER["Authorization"][:-1],
        BEARER["Authorization"] + "x",
        BEARER["Authorization"].replace("Bearer", "Basic"),
    ],
)
def test_without_the_token_nothing_happens(
    authorization: str, run: RunFolder, visitor: Visitor
) -> None:
    run.status("running", 3)
    answer = visitor.wish("stop", Authorization=authorization)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert read_wish(run.folder) == "run"


def test_a_page_without_a_token_is_read_only(run: RunFolder) -> None:
    run.status("running", 3)
    visitor = Visitor(make_page(run.folder, token_hash=None))
    assert visitor.wish("stop", **BEARER).status_code == 403
    assert read_wish(run.folder) == "run"
    text = visitor.page()
    assert "This page is read-only" in text
    assert "<button" not in text
    assert 'token" type' not in text


def test_a_wish_that_does_not_exist_is_refused(run: RunFolder, visitor: Visitor) -> None:
    run.status("running", 3)
    bodies: list[object] = [{"wish": "burn"}, {"wish": "stop", "more": 1}, {}, []]
    for body in bodies:
        answer = visitor.ask("POST", "/wish", json=body, headers=BEARER)
        assert answer.status_code == 422
    assert read_wish(run.folder) == "run"


@pytest.mark.parametrize("phase", ["", "finished", "stopped", "failed", "below quorum"])
def test_a_run_that_has_ended_takes_no_wish(phase: str, run: RunFolder, visitor: Visitor) -> None:
    if phase:
        run.status(phase, 3)  # type: ignore[arg-type]
    assert visitor.wish("pause", **BEARER).status_code == 409
    assert read_wish(run.folder) == "run"


def test_damaged_files_are_said_and_the_page_goes_on(run: RunFolder, visitor: Visitor) -> None:
    run.rounds(1, 3)
    with (run.folder / "rounds.jsonl").open("a") as file:
        file.write("nonsense\n")
    (run.folder / "status.json").write_text("{")
    (run.folder / "control.json").write_text('{"wish": "burn"}')
    text = visitor.page()
    assert "rounds.jsonl: 1 line cannot be read." in text
    assert "status.json: the file cannot be read." in text
    assert "control.json: the file cannot be read." in text
    assert "<b>3</b> of 90" in text


@pytest.mark.parametrize(
    "changes",
    [
        {"phase": HOSTILE},
        {"round_index": "5"},
        {"round_index": -1},
        {"since": 1e300},
        {"since": float("nan")},
        {"pid": 2**80},
        {"pid": 0},
        {"why": ["a"]},
    ],
)
def test_a_status_that_makes_no_sense_is_said_and_not_shown(
    changes: dict[str, Any], run: RunFolder, visitor: Visitor
) -> None:
    run.rounds(1, 3)
    run.status("running", 3)
    path = run.folder / "status.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    text = visitor.page()
    assert "status.json: the file cannot be read." in text
    assert "<b>3</b> of 90" in text


def test_health_is_good_while_the_folder_is_there(run: RunFolder, visitor: Visitor) -> None:
    assert visitor.ask("GET", "/health").json() == {"status": "ok"}
    for path in run.folder.iterdir():
        path.unlink()
    run.folder.rmdir()
    assert visitor.ask("GET", "/health").status_code == 503


def test_nothing_else_answers(visitor: Visitor) -> None:
    for path in ("/docs", "/openapi.json", "/redoc", "/static/../app.py", "/study.toml"):
        assert visitor.ask("GET", path).status_code == 404
