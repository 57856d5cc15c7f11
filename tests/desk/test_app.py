"""The app around the doors: health, and errors in one form."""

import pytest

from desk.counts import Counts
from tests.desk.rig import Desk, by_zalo, wrote


async def test_health_tells_what_waits_and_what_came(desk: Desk) -> None:
    await desk.zalo(by_zalo(wrote("m1")))
    await desk.zalo(by_zalo(wrote("m2"), secret="guess"))
    answer = await desk.http.get("/health")
    assert (answer.status_code, answer.json()) == (
        200,
        {
            "status": "ok",
            "trouble": {},
            "spool_waiting": 1,
            "totals": {"accepted": 1, "forged": 1},
        },
    )


async def test_health_names_trouble_and_stays_up(desk: Desk) -> None:
    """Webhooks can still be taken in: nobody must take this desk out of service."""
    desk.trouble["database"] = "OperationalError"
    answer = await desk.http.get("/health")
    assert (answer.status_code, answer.json()["status"]) == (200, "trouble")
    assert answer.json()["trouble"] == {"database": "OperationalError"}


async def test_health_keeps_names_and_secrets_to_itself(desk: Desk) -> None:
    await desk.zalo(by_zalo(wrote()))
    text = (await desk.http.get("/health")).text
    assert not [word for word in ("default", "till", "oa-secret", "whsec_", "app-1") if word in text]


@pytest.mark.parametrize("path", ["/", "/docs", "/redoc", "/openapi.json", "/webhooks", "/webhooks/in/"])
async def test_there_is_nothing_else(desk: Desk, path: str) -> None:
    answer = await desk.http.get(path)
    assert (answer.status_code, answer.json()) == (404, {"problem": "not found"})


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/webhooks/in/till"), ("PUT", "/webhooks/zalo"), ("POST", "/health")]
)
async def test_other_methods_are_refused_in_the_same_form(desk: Desk, method: str, path: str) -> None:
    answer = await desk.http.request(method, path)
    assert (answer.status_code, answer.json()) == (405, {"problem": "method not allowed"})


async def test_a_fault_of_ours_quotes_nothing(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    async def fail(_: object) -> bool:
        raise RuntimeError("Giao hàng chậm quá")

    monkeypatch.setattr(desk.writer, "store", fail)
    answer = await desk.zalo(by_zalo(wrote()))
    assert (answer.status_code, answer.json()) == (500, {"problem": "something went wrong on our side"})
    said = "".join(capfd.readouterr())
    assert "desk.request_failed" in said
    assert "Giao" not in said


def test_counts_are_taken_once_and_can_be_put_back() -> None:
    counts = Counts()
    counts.add("zalo", "forged")
    counts.add("zalo", "forged")
    taken = counts.take()
    assert taken == {("zalo", "forged"): 2}
    assert counts.take() == {}
    counts.add("zalo", "forged")
    counts.put_back(taken)
    assert counts.take() == {("zalo", "forged"): 3}
    assert counts.totals() == {("zalo", "forged"): 3}
