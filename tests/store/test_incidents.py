"""Incidents: one open one per channel and problem, however many messages and sweeps it stops."""

from collections.abc import Mapping

from amends.domain.outcome import Outcome, OutcomeClass
from amends.store import incidents
from amends.store.engine import Store, Tx
from amends.store.incidents import Incident
from tests.domain.examples import HOUR, NINE
from tests.store.rows import at_once

NO_BALANCE = Outcome(OutcomeClass.NEEDS_HUMAN, code="-115", detail="out of balance")


def found(times: int = 1, *codes: str) -> Mapping[str, tuple[Outcome, int]]:
    return dict.fromkeys(codes or ("-115",), (NO_BALANCE, times))


def open_ones(tx: Tx) -> list[tuple[str, str, int]]:
    return [(incident.stopped, incident.code, incident.times) for incident in incidents.still_open(tx)]


def test_an_incident_says_what_is_wrong_and_since_when(store: Store) -> None:
    with store.begin() as tx:
        incidents.report(tx, "zns", found(3), NINE)
        assert incidents.still_open(tx) == [Incident("zns", "-115", "out of balance", 3, NINE, NINE)]


def test_the_same_problem_again_is_the_same_incident(store: Store) -> None:
    with store.begin() as tx:
        incidents.report(tx, "zns", found(3), NINE)
        incidents.report(tx, "zns", found(2), NINE + HOUR)
        assert incidents.still_open(tx) == [Incident("zns", "-115", "out of balance", 5, NINE, NINE + HOUR)]


def test_another_channel_or_code_is_another_incident(store: Store) -> None:
    with store.begin() as tx:
        incidents.report(tx, "zns", found(1, "-115", "-124"), NINE)
        incidents.report(tx, "email", found(), NINE)
        assert open_ones(tx) == [("zns", "-115", 1), ("zns", "-124", 1), ("email", "-115", 1)]


def test_sweeps_that_report_in_a_race_raise_one_incident(store: Store) -> None:
    """A sweep that failed here would lose the vendor's answers of its whole wave."""

    def report() -> None:
        with store.begin() as tx:
            incidents.report(tx, "zns", found(1, "-115", "-124"), NINE)

    at_once([report] * 8)
    with store.read() as tx:
        assert sorted(open_ones(tx)) == [("zns", "-115", 8), ("zns", "-124", 8)]


def test_a_channel_that_works_again_resolves_its_incidents_only(store: Store) -> None:
    with store.begin() as tx:
        incidents.report(tx, "zns", found(1, "-115", "-124"), NINE)
        incidents.report(tx, "email", found(), NINE)
        incidents.resolve(tx, "zns", NINE + HOUR)
        assert open_ones(tx) == [("email", "-115", 1)]


def test_a_problem_that_comes_back_is_a_new_incident(store: Store) -> None:
    with store.begin() as tx:
        incidents.report(tx, "zns", found(7), NINE)
        incidents.resolve(tx, "zns", NINE)
        incidents.report(tx, "zns", found(1), NINE + HOUR)
        assert incidents.still_open(tx) == [
            Incident("zns", "-115", "out of balance", 1, NINE + HOUR, NINE + HOUR)
        ]
