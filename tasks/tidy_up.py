"""Tidy up: settle doubts by asking the vendor, keep its tokens alive, keep nothing too long, and nothing in clear."""

from amends.domain.contacts import mask
from amends.domain.outcome import Outcome, OutcomeClass
from amends.store import incidents, ledger, timeline
from amends.store.ledger import Doubt
from connectors.errors import VendorUnavailable
from connectors.zalo.account import ZaloAccount
from tasks.chunks import chunk_task
from tasks.retention import keep_retention
from tasks.sealing import seal_what_is_left
from tasks.sweep import Sweep, at_account


async def tidy_up(sweep: Sweep) -> None:
    """Ask Zalo about messages of unknown fate whose id we have; once a day, renew tokens nobody has used."""
    await keep_retention(sweep)
    await seal_what_is_left(sweep)
    if sweep.connectors.zalo is None:
        return
    if sweep.read_back:  # the doubts of this sweep are settled by `reconcile`
        await _keep_alive(sweep, sweep.connectors.zalo)
    else:
        await settle_doubts(sweep, 1)


async def settle_doubts(sweep: Sweep, chunks: int) -> int:
    """Go through up to so many chunks of doubts, oldest first; returns how many Zalo has settled.

    What Zalo does not know stays a doubt and is asked about again, so one chunk alone might never get to the rest.
    """
    zalo, after, proved = sweep.connectors.zalo, 0, 0
    if zalo is None:
        return 0
    for _ in range(chunks):
        with sweep.store.read() as tx:
            doubts = ledger.doubts(tx, sweep.journey.name, "zns", sweep.settings.chunk_size, after)
        if not doubts:
            break
        settled, answers = await _settle(sweep, zalo, doubts)
        proved += settled
        if not answers:
            break
        after = doubts[-1].id
    return proved


@chunk_task("settle doubts")
async def _settle(sweep: Sweep, zalo: ZaloAccount, doubts: list[Doubt]) -> tuple[int, bool]:
    """One question per doubt, one after another; how many that settled, and whether Zalo answers at all."""
    proved = 0
    for doubt in doubts:
        try:
            state = await zalo.delivery(doubt.provider_id)
        except VendorUnavailable as trouble:
            sweep.tally("settle doubts").reasons[mask(str(trouble))] += 1
            return proved, False
        if state == "not_found":
            continue  # Zalo forgets old messages too: no proof that it never arrived
        now = sweep.now()
        with sweep.store.begin() as tx:
            if ledger.prove(
                tx, doubt.key, doubt.provider_id, now, f"proved by Zalo's message status: {state}"
            ):
                told = f"message {doubt.provider_id}: {state} says Zalo"
                timeline.append(tx, [timeline.Entry(doubt.case_id, now, f"{doubt.step}.proved", told)])
                sweep.tally("settle doubts").results["proved"] += 1
                proved += 1
    return proved, True


async def _keep_alive(sweep: Sweep, zalo: ZaloAccount) -> None:
    """A refresh token that is not used for three months dies, and with it the installation (zalo.md, OAuth v4)."""
    outcome = await zalo.keep_alive()
    incident = at_account("zns tokens", sweep.journey.zalo_account)
    with sweep.store.begin() as tx:
        if isinstance(outcome, Outcome) and outcome.cls is OutcomeClass.NEEDS_HUMAN:
            incidents.report(tx, incident, {outcome.code or "unknown": (outcome, 1)}, sweep.now())
        elif incident in sweep.troubled:
            incidents.resolve(tx, incident, sweep.now())
