"""Jobs on a cluster, through Dask distributed.

The workers must see the videos and the batch's folder under the same paths as this machine.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from typing import Any

from recon.batch.worker import Job, Outcome, Run, execute
from recon.core.errors import InputError, MissingDependencyError

_CONNECT_SECONDS = 20


class DaskPool:
    """Runs jobs on a Dask cluster, each in its own process beside a worker.

    Dask gives the jobs of a worker that died to another one; their finished stages are kept.

    Args:
        address: "dask://HOST:PORT" of a scheduler, or "dask" for workers on this machine.
        limit: number of those. retries: how often a job that crashed is tried again.
    """

    def __init__(self, address: str, limit: int, *, retries: int = 1) -> None:
        self.address = address
        self.limit = limit
        self.retries = retries
        self.running: list[Run] = []

    def work(self, jobs: Sequence[Job]) -> Generator[tuple[Run, Outcome], None, None]:
        """Every job with its outcome, as they end; closing the iterator cancels the others.

        Raises:
            InputError: no scheduler answers. MissingDependencyError: Dask is not installed.
        """
        try:
            from distributed import as_completed
        except ModuleNotFoundError as error:
            raise MissingDependencyError("distributed", "batch") from error
        with ExitStack() as stack:
            client = self._client(stack)
            runs = {self._submit(client, Run(job=job)): Run(job=job) for job in jobs}
            self.running = list(runs.values())
            ended = as_completed(list(runs))
            try:
                for future in ended:
                    run = runs.pop(future)
                    self.running.remove(run)
                    outcome = _outcome(future)
                    if outcome.state == "crashed" and run.attempt <= self.retries:
                        again = Run(job=run.job, attempt=run.attempt + 1)
                        runs[retried := self._submit(client, again)] = again
                        self.running.append(again)
                        ended.add(retried)
                    else:
                        yield run, outcome
            finally:
                client.cancel(list(runs))

    def _client(self, stack: ExitStack) -> Any:
        from distributed import Client, LocalCluster

        if self.address == "dask":
            cluster = LocalCluster(
                n_workers=self.limit, threads_per_worker=1, host="127.0.0.1",
                dashboard_address=None, memory_limit=0,  # type: ignore[arg-type]
            )  # fmt: skip
            stack.enter_context(cluster)
            return stack.enter_context(Client(cluster))
        place = self.address.removeprefix("dask://")
        try:
            return stack.enter_context(Client(f"tcp://{place}", timeout=_CONNECT_SECONDS))
        except (OSError, TimeoutError, ValueError) as error:
            raise InputError(
                f"--engine: expected a Dask scheduler at {place}, got: {error}; start one there "
                "with: dask scheduler, and workers with: dask worker tcp://HOST:PORT --nthreads 1"
            ) from error

    def _submit(self, client: Any, run: Run) -> Any:
        key = f"recon-{run.job.name}-{run.attempt}-{id(run)}"
        return client.submit(run_remotely, asdict(run.job), run.attempt, key=key, pure=False)


def run_remotely(job: dict[str, Any], attempt: int) -> dict[str, Any]:
    """What a worker does: `execute`, in and out of JSON-native values."""
    return asdict(execute(Run(job=Job(**job), attempt=attempt)))


def _outcome(future: Any) -> Outcome:
    error = future.exception()
    if error is None:
        return Outcome(**future.result())
    text = " ".join(f"{type(error).__name__}: {error}".split())
    return Outcome(state="crashed", seconds=0.0, message=f"its worker was lost: {text}")
