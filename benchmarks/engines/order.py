"""What one run of one system is told, and what it tells: files between two processes."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self


@dataclass(frozen=True)
class Order:
    """One run: `cases` complaints through the system called `arm`, after those to warm up."""

    arm: str
    cases: int
    at_once: int
    """How many cases may be under way together, where the system lets one choose."""
    home: str
    """A folder of the run's own."""
    database: str
    """SQLAlchemy URL of an empty database."""
    vendor: str | None
    """URL of the sandbox; None: answers come from memory, in the process of the system itself."""
    prefect: str | None
    """URL of Prefect's API, for those who use it."""
    servers: tuple[int, ...]
    """Process ids whose CPU is told beside the system's own."""
    warm_up: int = 32
    """Cases of the day before, through the same process and database: nobody is measured importing."""
    core: int | None = None
    """The one core to run on."""
    script: str | None = None
    """What the run of Amends has left for the floor to repeat: a file it writes, or reads."""

    def write(self, file: Path) -> None:
        file.write_text(json.dumps(asdict(self)), "utf-8")

    @classmethod
    def read(cls, file: Path) -> Self:
        data: dict[str, Any] = json.loads(file.read_text("utf-8"))
        return cls(**{**data, "servers": tuple(data["servers"])})


@dataclass(frozen=True)
class Measured:
    """One run that lost nothing and doubled nothing. Seconds and MiB."""

    cases: int
    wall_s: float
    cpu_s: float
    server_cpu_s: float
    peak_mib: float

    @property
    def per_second(self) -> float:
        return self.cases / self.wall_s

    @property
    def cpu_s_per_1000(self) -> float:
        return 1000 * self.cpu_s / self.cases

    @property
    def server_cpu_s_per_1000(self) -> float:
        return 1000 * self.server_cpu_s / self.cases
