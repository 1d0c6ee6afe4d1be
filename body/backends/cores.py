"""How many threads a network gets."""

from __future__ import annotations

import os


def thread_count(threads: int) -> int:
    """`threads`, or for 0 one for every core that this process may use.

    A job pinned to few cores of a large machine would crawl with a thread for each of them all.
    """
    if threads:
        return threads
    if hasattr(os, "sched_getaffinity"):  # Linux
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
