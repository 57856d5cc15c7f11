"""Which point is next: the one tried least so far, among those that the next sweep should come to."""

import random
import time
from collections import Counter
from datetime import datetime, timedelta

from amends.domain.effects import Step
from tests.chaos.points import START, Stop
from tests.chaos.world import LEASE, World

TIMED = 0.25
"""Share of the kills that come from outside, at a random moment."""
SCOUTS = 12
"""Sweeps that live before the first is to die: no killed one comes to the points behind its own."""
TOKENS_LAST = timedelta(hours=20)
"""How long sweeps work with one pair of tokens, so long a time that only then their renewal can be hit."""
CROWD = 12
"""Steps due at once from which on nobody new complains: killed sweeps leave work behind."""
_STEPS = {step.replace("_", " ") for step in Step}
_LEADS_TO = {
    "detect": {"acknowledge", "open ticket", "notify agent"},
    "open ticket": {"notify agent"},
    "conclude": {"reward", "close"},
    "reward": {"close"},
}
"""What a sweep comes to when it has done a step."""


class Killer:
    """Learns the names of the points from the trails of one world, and spreads the kills over them."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self.known: dict[str, int] = {}
        """Every name ever seen, and how often it was passed in the last sweep that came by."""
        self._scouts = SCOUTS
        self._tried: Counter[str] = Counter()
        self._tokens_at: datetime | None = None
        self._seconds = 0.5
        """How long a whole sweep takes, about."""

    def kill_one(self, world: World) -> bool:
        """Some minutes pass, then a sweep is to die; False when it lived: a scout, or one whose point did not come."""
        complaints = 0 if sum(world.due().values()) > CROWD else self._random.choice((0, 1, 1, 2, 3))
        world.live(LEASE + timedelta(minutes=self._random.uniform(1, 12)), complaints)
        killed_before, started = world.toll.killed, time.monotonic()
        if self._scouts:
            self._scouts -= 1
            trail = world.sweep()
        elif self._random.random() < TIMED:
            trail = world.sweep(after_seconds=self._random.uniform(0, self._seconds))
        else:
            stop = self._choose(world, complaints)
            self._tried[stop.name] += 1
            trail = world.sweep(stop)
        self._learn(world, trail)
        if world.toll.killed > killed_before:
            return True
        self._seconds = 0.7 * self._seconds + 0.3 * (time.monotonic() - started)
        return False

    def _choose(self, world: World, complaints: int) -> Stop:
        due = set(world.due())
        if complaints:
            due |= {"detect", *_LEADS_TO["detect"]}
        for step in tuple(due):
            due |= _LEADS_TO.get(step, set())
        if self._tokens_at is None or world.clock.now() - self._tokens_at > TOKENS_LAST:
            due.add("tokens")
        expected = [name for name in self.known if self._is_expected(name, due)]
        name = min(expected, key=lambda name: (self._tried[name], self._random.random()))
        return Stop(name, self._random.randint(1, self.known[name]))

    def _is_expected(self, name: str, due: set[str]) -> bool:
        step = name.partition(": ")[0]
        return name != START and (step in due or step not in {*_STEPS, "detect", "tokens"})

    def _learn(self, world: World, trail: list[str]) -> None:
        self.known |= Counter(trail)
        if any(name.startswith("tokens") for name in trail) and not trail[-1].startswith("tokens"):
            self._tokens_at = world.clock.now()  # they were renewed, and nobody died of it
