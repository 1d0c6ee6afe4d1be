"""Jobs on this machine: as many at once as its cores and its memory carry."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import replace

from recon.batch.memory import available_bytes
from recon.batch.worker import Job, Outcome, Run, execute

FIRST_GUESS_BYTES = 1_500_000_000
"""Of what a job takes, until one was seen to end; 1080p takes about 1 GB."""
_POLL_SECONDS = 0.2


def default_jobs() -> int:
    """How many jobs at once use all cores: one for each, since every job has parts for one core."""
    return len(usable_cores())


def usable_cores() -> list[int]:
    """The cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


class LocalPool:
    """Runs jobs, each in its own process.

    A further one is started only where memory is left for it, and for what those that run may
    still grow to. What a job takes is learnt from those that ended; one that the system killed
    lowers the number at once.

    Args:
        limit: the most at once. retries: how often a job that crashed is tried again.
        available: bytes of memory that may still be taken. run_job: does the work.
    """

    def __init__(
        self,
        limit: int,
        *,
        retries: int = 1,
        available: Callable[[], int] = available_bytes,
        run_job: Callable[..., Outcome] = execute,
    ) -> None:
        self.limit = limit
        self.retries = retries
        self.running: list[Run] = []
        self.need_bytes = FIRST_GUESS_BYTES
        self._available, self._run_job = available, run_job
        # Jobs that share all cores wait for one another's threads.
        cores = usable_cores()
        self._shares = [tuple(cores[k::limit]) or tuple(cores) for k in range(limit)]
        self._stop = threading.Event()

    def work(self, jobs: Sequence[Job]) -> Generator[tuple[Run, Outcome], None, None]:
        """Every job with its outcome, as they end; closing the iterator ends those that run."""
        waiting = deque(Run(job=job) for job in jobs)
        futures: dict[Future[Outcome], Run] = {}
        with ThreadPoolExecutor(self.limit, thread_name_prefix="recon-job") as threads:
            try:
                while waiting or futures:
                    while waiting and self._may_start():
                        run = waiting.popleft()
                        run.job = replace(run.job, cores=self._shares.pop())
                        self.running.append(run)
                        futures[threads.submit(self._run_job, run, stop=self._stop)] = run
                    ended, _ = wait(futures, timeout=_POLL_SECONDS, return_when=FIRST_COMPLETED)
                    for future in ended:
                        run, outcome = futures.pop(future), future.result()
                        self.running.remove(run)
                        self._shares.append(run.job.cores)
                        self._learn(outcome)
                        if outcome.state == "crashed" and run.attempt <= self.retries:
                            waiting.append(Run(job=run.job, attempt=run.attempt + 1))
                        else:
                            yield run, outcome
            finally:
                self._stop.set()

    def _may_start(self) -> bool:
        if not self.running:
            return True
        if len(self.running) >= self.limit:
            return False
        need = max(self.need_bytes, *(run.peak_bytes for run in self.running))
        growth = sum(max(0, need - run.memory_bytes) for run in self.running)
        return need + growth <= self._available()

    def _learn(self, outcome: Outcome) -> None:
        if outcome.killed:
            self.limit = max(1, self.limit - 1)
            self.need_bytes = max(self.need_bytes, round(1.5 * outcome.peak_bytes))
        elif outcome.state == "done":
            # The guess gives way to what was measured; videos differ, hence the margin.
            known = 0 if self.need_bytes == FIRST_GUESS_BYTES else self.need_bytes
            self.need_bytes = max(known, round(1.2 * outcome.peak_bytes))
