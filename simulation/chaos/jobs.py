"""Several federations at once, each in a thread: a process under test waits most of its time."""

import logging
import queue
import shutil
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path
from threading import Lock, Thread
from time import monotonic

from simulation.chaos.cases import Case
from simulation.chaos.federation import Federation
from simulation.chaos.founding import found
from simulation.chaos.ground import may_use_namespaces
from simulation.chaos.judging import Verdict
from simulation.chaos.running import Reference, Row, run_case, undisturbed
from simulation.chaos.twin import Twin

log = logging.getLogger("wardround.chaos")


class Jobs:
    """Cases that wait, by profile, and what all jobs share. until: no case begins later."""

    def __init__(self, folder: Path, cases: Sequence[Case], until: float) -> None:
        self._folder, self._until = folder, until
        self._waiting: dict[str, deque[Case]] = {}
        for case in cases:
            self._waiting.setdefault(case.profile, deque()).append(case)
        self._taken: Counter[str] = Counter()
        self._lock, self._founding = Lock(), {profile: Lock() for profile in self._waiting}
        self._studies: dict[str, str] = {}
        self._references: dict[str, Reference] = {}
        self._numbers, self._permitted = count(), may_use_namespaces()
        self._running: list[Federation] = []
        self._rows: queue.Queue[Row | BaseException | None] = queue.Queue()

    def rows(self, jobs: int) -> Iterator[Row]:
        """Run the cases in so many federations at a time and yield each as it ends.

        Raises:
            RuntimeError: a federation could not be set up, or an undisturbed run was not good.
        """
        threads = [Thread(target=self._work, daemon=True) for _ in range(jobs)]
        for thread in threads:
            thread.start()
        left = jobs
        try:
            while left:
                row = self._rows.get()
                if isinstance(row, BaseException):
                    raise row
                left -= row is None
                if row is not None:
                    yield row
        finally:
            self._until = 0.0
            if left:
                for federation in self._running:
                    federation.give_up()
            for thread in threads:
                thread.join()

    def _work(self) -> None:
        try:
            while case := self._next(""):
                self._play(case)
        except BaseException as error:
            self._rows.put(error)
        finally:
            self._rows.put(None)

    def _next(self, profile: str) -> Case | None:
        """Take a case of a profile; of none: of the one that has the most for each federation."""
        with self._lock:
            if not profile:
                share = {p: len(x) / (1 + self._taken[p]) for p, x in self._waiting.items()}
                profile = max(share, key=lambda name: share[name])
                self._taken[profile] += 1
            cases = self._waiting[profile]
            return cases.popleft() if cases and monotonic() < self._until else None

    def _play(self, first: Case) -> None:
        """Set up a federation for a case, and have it run others of its profile after that."""
        federation: Federation | None = None
        case: Case | None = first
        try:
            while case:
                if federation is None:
                    federation, twin, reference = self._set_up(case.profile)
                row = self._run(federation, twin, case, reference)
                self._rows.put(row)
                if not row.verdict.good:  # the next one begins afresh
                    federation.close()
                    federation = None
                case = self._next(first.profile)
        finally:
            if federation:
                federation.close()

    def _run(self, federation: Federation, twin: Twin, case: Case, reference: Reference) -> Row:
        try:
            return run_case(federation, twin, case, reference)
        except Exception as error:  # whatever it is, the case is lost and the others go on
            log.exception("case %d", case.seed)
            why = f"{type(error).__name__}: {error}"
            verdict = Verdict(False, False, False, False, broken=why)
            return Row(case, hit=False, verdict=verdict, by_hand=0, extra=0.0)

    def _set_up(self, profile: str) -> tuple[Federation, Twin, Reference]:
        """Return a federation of a profile that has run its study once, undisturbed."""
        template = self._folder / f"template-{profile}"
        with self._founding[profile]:
            if profile not in self._studies:
                self._studies[profile] = found(template, profile)
        number = next(self._numbers)
        folder, study = self._folder / f"{profile}-{number}", self._studies[profile]
        shutil.rmtree(folder, ignore_errors=True)
        federation = Federation(template, folder, study, profile, number, self._permitted)
        self._running.append(federation)
        try:
            federation.begin()
            twin = Twin(folder)
            reference = undisturbed(federation, twin, "reference")
            first = self._references.setdefault(profile, reference)
            if reference.theta != first.theta:
                raise RuntimeError(f"two undisturbed runs differ: {folder}")
        except BaseException:
            federation.close()
            raise
        return federation, twin, reference
