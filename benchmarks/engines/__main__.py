"""Amends, its peers and the floor, in turn, in one run: the same complaints through all eight steps."""

from benchmarks.databases import POSTGRES, SQLITE
from benchmarks.engines.races import races
from benchmarks.engines.report import report
from benchmarks.engines.running import run_race, surroundings
from benchmarks.part import Part, Say, Size, main


def run(size: Size, say: Say) -> Part:
    """Raises FailedRun when a run lost or doubled anything."""
    with surroundings((SQLITE, POSTGRES)) as around:
        return report([run_race(race, around, say) for race in races(size)])


if __name__ == "__main__":
    main(run, __doc__ or "")
