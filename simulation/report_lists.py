"""The report's lists of sites and tasks: in full while a person would read them, else as numbers.

results.json always holds them in full, and every shortened list says so. A run of 60 synthetic
hospitals is below both limits.
"""

from collections.abc import Iterator, Mapping, Sequence, Sized
from statistics import median
from typing import Any

from common.pages import SPACE, Html, element, table

Row = Mapping[str, Any]

MOST, MOST_TASKS = 60, 150
"""So many rows or names of sites, and so many names of tasks, are listed in full."""
FIRST = 5
"""So many names stand for a longer list."""
SPREAD = "least / median / most"


def named(names: Sequence[str], separator: str = "; ", *, most: int = MOST) -> str:
    """Return the names; of more than `most` the first ones, and how many more there are."""
    if len(names) <= most:
        return separator.join(names)
    return separator.join([*names[:FIRST], f"and {len(names) - FIRST:,} more"])


def elsewhere(key: str, *lists: Sized, most: int = MOST) -> Iterator[Html]:
    """Yield, if one of the lists of names is shortened, where all of it stands."""
    if any(len(names) > most for names in lists):
        yield in_results(key)


def in_results(key: str) -> Html:
    """Return the sentence that sends a reader of a shortened list to the whole one."""
    return element("p", f"results.json lists every one, under {key!r}.", css="note")


def span(values: Sequence[int]) -> str:
    """Return "5 to 1,200", or one number if all are the same."""
    low, high = min(values), max(values)
    return f"{low:,} to {high:,}" if low < high else f"{low:,}"


def spread(values: Sequence[int]) -> str:
    """Return "5 / 40 / 1,200", least, median and most, or one number if all are the same."""
    low, middle, high = min(values), median(values), max(values)
    shown = " / ".join(f"{value:,.10g}" for value in (low, middle, high))
    return shown.replace(" ", SPACE) if low < high else f"{low:,}"


def trained(rows: Sequence[Row]) -> Iterator[Html]:
    """Yield who trained on what: `rows` has one entry a site and task."""
    sites: dict[str, list[Row]] = {}
    for row in rows:
        sites.setdefault(row["site"], []).append(row)
    yield from (_each_site if len(sites) <= MOST else _each_task)(sites)


def _each_site(sites: Mapping[str, Sequence[Row]]) -> Iterator[Html]:
    cells = (
        (site, len(tasks), "; ".join(_positive(task) for task in tasks))
        for site, tasks in sites.items()
    )
    yield table(("site", "tasks", "positive / patients of each"), cells, css="words")


def _positive(task: Row) -> str:
    return f"{task['task']} {task['positive']}/{task['patients']}".replace(" ", SPACE)


def _each_task(sites: Mapping[str, Sequence[Row]]) -> Iterator[Html]:
    numbers = [len(tasks) for tasks in sites.values()]
    middle = f" (median {median(numbers):,.10g})" if min(numbers) < max(numbers) else ""
    noun = "task" if max(numbers) == 1 else "tasks"
    yield element("p", f"{len(sites):,} sites trained, each on {span(numbers)} {noun}{middle}.")
    tasks: dict[str, list[Row]] = {}
    for row in (row for rows in sites.values() for row in rows):
        tasks.setdefault(row["task"], []).append(row)
    head = ("diagnosis", "sites", "patients of a site", "positive of a site", "positive overall")
    title = f"Patients and positives of a site: {SPREAD} over the sites"
    yield table(head, (_task_row(name, rows) for name, rows in tasks.items()), title=title)
    yield in_results("training")


def _task_row(name: str, rows: Sequence[Row]) -> tuple[str, ...]:
    patients, positive = ([row[key] for row in rows] for key in ("patients", "positive"))
    share = f"{sum(positive) / sum(patients):.1%}"
    return name, f"{len(rows):,}", spread(patients), spread(positive), share
