"""World motion against exact truth, on real videos, with residuals off, and what it costs.

Twelve worlds are drawn (`recon.synth`), run from their pixels and evaluated as `recon evaluate`
does; their seeds were never used while the code was written. `--quick` draws two and leaves out
the longest and slowest parts.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from benchmarks.common import Row, main
from benchmarks.world_cost import measure_cost
from benchmarks.world_gaps import measure_gaps
from benchmarks.world_rendered import measure_rendered
from benchmarks.world_scale import measure_scale
from benchmarks.world_videos import measure_videos


def measure(quick: bool, pictures: Path | None) -> Iterator[Row]:
    """All rows; pictures: top views and evaluation pages."""
    yield from measure_rendered(quick=quick, pictures=pictures)
    yield from measure_videos(quick=quick, pictures=pictures)
    yield from measure_cost(quick=quick)
    yield from measure_gaps(quick=quick)
    yield from measure_scale(quick=quick)


if __name__ == "__main__":
    main("World motion", measure)
