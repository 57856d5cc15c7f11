"""What a sweep leaves for operators to read: one artifact table in Prefect, without personal data."""

from prefect.artifacts import acreate_table_artifact

from amends.domain.contacts import mask
from amends.store import incidents
from tasks.sweep import Sweep


async def leave_report(sweep: Sweep) -> dict[str, dict[str, int]]:
    """Publish the table of this sweep; returns the same figures by step and result."""
    rows = []
    for step, tally in sweep.tallies.items():
        if not tally.cases and not tally.results and not tally.reasons:
            continue
        results = ", ".join(f"{name} {count:,}" for name, count in tally.results.most_common())
        reasons = "; ".join(f"{mask(text)} ({count:,})" for text, count in tally.reasons.most_common(5))
        rows.append(
            {
                "step": step.replace("_", " "),
                "due": tally.cases,
                "results": results,
                "seconds": round(tally.seconds, 2),
                "reasons": reasons,
            }
        )
    with sweep.store.read() as tx:
        for incident in incidents.still_open(tx):
            since = incident.opened_at.astimezone(sweep.journey.zone)
            rows.append(
                {
                    "step": f"INCIDENT {incident.stopped}",
                    "due": incident.times,
                    "results": f"code {incident.code}",
                    "seconds": 0,
                    "reasons": f"since {since:%d/%m/%Y %H:%M}: {incident.detail}",
                }
            )
    at = sweep.now().astimezone(sweep.journey.zone)
    await acreate_table_artifact(
        table=rows or [{"step": "nothing was due", "due": 0, "results": "", "seconds": 0, "reasons": ""}],
        key=f"sweep-{sweep.journey.name.replace('_', '-')}",
        description=f"Sweep of **{sweep.journey.name}** as of {at:%d/%m/%Y %H:%M} ({sweep.journey.timezone})",
    )
    return {step: dict(tally.results) for step, tally in sweep.tallies.items()}
