"""Whatever happens in whatever order, the books agree: the auditor looks after every step of a random town."""

import tempfile
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from amends.domain.outcome import Outcome, OutcomeClass
from amends.store.audit import audit
from amends.store.engine import Store
from tests.conftest import CIPHER
from tests.store.rows import BUSY, REFUSED, wipe
from tests.tasks.town import STEPS, Town, no_prefect

STOPPED = Outcome(OutcomeClass.NEEDS_HUMAN, code="-124", detail="the token is invalid")
LOST = Outcome(OutcomeClass.UNCERTAIN, code="ReadTimeout", detail="no answer in 10 s")
WRONG = Outcome(OutcomeClass.PAYLOAD_REFUSED, code="-137", detail="a parameter is too long")
ANSWERS = st.lists(st.sampled_from([BUSY, REFUSED, LOST, WRONG, STOPPED, None]), max_size=3)
"""What a vendor says instead of yes; None: the sweep dies in the call."""
ANY = st.integers(0, 5)

OWED: frozenset[str] = frozenset()
"""Rules that the writers are known to break."""


class AnyTown(RuleBasedStateMachine):
    """Operations in any order, on the real functions."""

    store: Store
    home: Path

    @initialize(stage=st.sampled_from([5, 4, 2, 1]), answers=ANSWERS)
    def begin(self, stage: int, answers: list[Outcome | None]) -> None:
        """Cases that have come some way already: few random walks would bring them as far."""
        wipe(self.store)
        self.town = town = Town(self.store, self.home)
        for person in range(3):
            town.rate(person, 1.0 + person)
        town.judge()
        if stage > 0:
            town.sweep(answers if stage < 3 else ())
        if stage > 1:
            for _ in range(3):
                town.solve()
            town.clock.advance(timedelta(hours=5))
            town.sweep()
        if stage > 2:
            town.answer(5)
            town.answer(1, 1)
            town.answer(5, 2)
            town.judge()
        if stage > 3:
            town.run(STEPS["survey"])
        if stage > 4:
            town.run(STEPS["reward"], answers)

    @rule(person=st.integers(0, 3), rating=st.sampled_from([1.0, 3.0, 5.0, None]))
    def somebody_rates(self, person: int, rating: float | None) -> None:
        self.town.rate(person, rating)

    @rule()
    def judge(self) -> None:
        self.town.judge()

    @rule(step=st.sampled_from(sorted(STEPS)), answers=ANSWERS)
    def run_a_step(self, step: str, answers: list[Outcome | None]) -> None:
        self.town.run(STEPS[step], answers)

    @rule(answers=ANSWERS)
    def sweep(self, answers: list[Outcome | None]) -> None:
        self.town.sweep(answers)

    @rule(hours=st.sampled_from([0.1, 1, 5, 24, 100]))
    def time_passes(self, hours: float) -> None:
        self.town.judge()
        self.town.clock.advance(timedelta(hours=hours))

    @rule(hours=st.sampled_from([24, 5]), answers=ANSWERS)
    def later_there_is_a_sweep(self, hours: int, answers: list[Outcome | None]) -> None:
        self.town.judge()
        self.town.clock.advance(timedelta(hours=hours))
        self.town.sweep(answers)

    @rule(number=ANY)
    def an_agent_takes(self, number: int) -> None:
        self.town.take(number)

    @rule(number=ANY)
    def an_agent_solves(self, number: int) -> None:
        self.town.solve(number)

    @rule(rate=st.sampled_from([1, 5]), number=ANY, judged=st.booleans())
    def a_customer_answers(self, rate: int, number: int, judged: bool) -> None:
        self.town.answer(rate, number)
        if judged:
            self.town.judge()

    @rule(number=ANY)
    def a_message_arrives(self, number: int) -> None:
        self.town.delivered(number)

    @invariant()
    def the_books_agree(self) -> None:
        found = audit(self.store, self.town.now())
        violated = {f.rule.id: f.examples for f in found if f.violated and f.rule.id not in OWED}
        assert not violated


def play(store: Store, home: Path, *, examples: int, steps: int) -> None:
    machine = type("Played", (AnyTown,), {"store": store, "home": home})
    with no_prefect():
        run_state_machine_as_test(
            machine,
            settings=settings(
                max_examples=examples,
                stateful_step_count=steps,
                derandomize=True,
                deadline=None,
                database=None,
                suppress_health_check=list(HealthCheck),
            ),
        )


def test_the_books_agree_after_anything() -> None:
    # Not in pytest's folder: where temporary files are kept in memory, commits cost nothing.
    with tempfile.TemporaryDirectory() as folder:
        store = Store(f"sqlite:///{folder}/amends.db", CIPHER)
        store.migrate()
        play(store, Path(folder), examples=14, steps=15)
        store.close()


@pytest.mark.slow
def test_the_books_agree_on_postgres_too(postgres: Store, tmp_path: Path) -> None:
    play(postgres, tmp_path, examples=7, steps=15)
