"""All journeys at a glance, and what waits for a person. Masked; times in each brand's zone."""

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import typer

from amends.domain.contacts import mask
from amends.store import incidents, lookups, reports, webhook_events
from amends.store.engine import Store, Tx
from cli.show import heading, moment, print_json, print_table
from cli.words import zone_of

NEWEST = 5
"""Rows in quarantine shown."""
WEBHOOK_DAYS = 7
LEFT = ("waiting", "ignored", "unreadable")
"""What can become of a webhook event beside being done."""

WHAT_TO_DO = (
    "The call may have left, so it is not repeated: a second apology or voucher would be worse than none. Look the "
    "tracking id (amends ledger show ID) up at the vendor, and settle it: amends ledger settle ID --sent or "
    "--not-sent. A customer's answer or the vendor's delivery webhook settles it by itself."
)
IN_FLIGHT = "A sweep is in this call now, or died in it; the next sweep tells which."


def read_status(store: Store) -> dict[str, Any]:
    """Everything as plain data, masked."""
    now = datetime.now(UTC)
    with store.read() as tx:
        names = sorted({*reports.journeys_known(tx), *lookups.journeys_in_quarantine(tx)})
        found = [_journey(tx, name, now) for name in names]
        troubles = [
            {
                "stopped": incident.stopped,
                "code": incident.code,
                "detail": mask(incident.detail),
                "times": incident.times,
                "opened_at": incident.opened_at,
                "last_seen_at": incident.last_seen_at,
            }
            for incident in incidents.still_open(tx)
        ]
        doors = _webhooks(tx, now)
    return {"at": now, "journeys": found, "incidents": troubles, "webhooks": doors}


def _webhooks(tx: Tx, now: datetime) -> list[dict[str, Any]]:
    """What each door took in and turned away, and its events that came to nothing; empty when nothing ever came.

    The doors count by days of UTC, so the first of them is counted whole.
    """
    since = (now - timedelta(days=WEBHOOK_DAYS)).date()
    requests: dict[str, dict[str, int]] = {}
    for (door, outcome), number in sorted(webhook_events.counts(tx, since).items()):
        requests.setdefault(door, {})[outcome] = number
    events = webhook_events.by_state(tx)
    return [
        {
            "door": door,
            "requests": requests.get(door, {}),
            "events": {state: events.get((door, state), 0) for state in LEFT},
        }
        for door in sorted({*requests, *(door for door, _ in events)})
    ]


def _journey(tx: Tx, name: str, now: datetime) -> dict[str, Any]:
    zone = zone_of(tx, name, now)
    return {
        "journey": name,
        "timezone": zone.key,
        "funnel": reports.funnel(tx, name, now).as_dict(),
        "service_levels": [
            {
                "severity": line.severity.value,
                "target": line.kind.value,
                "met": line.met,
                "breached": line.breached,
                "running": line.running,
                "share_met": line.share_met,
            }
            for line in reports.service_levels(tx, name, now)
        ],
        "due_now": reports.backlog(tx, name, now),
        "quarantine_open": lookups.count_quarantined(tx, name),
        "quarantine": [
            {
                "entry": row.id,
                "at": row.received_at.astimezone(zone),
                "location": mask(row.location),
                "problems": [mask(f"{p['field']}: {p['problem']} ({p['fix']})") for p in row.problems],
            }
            for row in lookups.newest_quarantined(tx, name, NEWEST)
        ],
        "uncertain": [
            {
                "effect": effect.id,
                "case": f"AM{effect.case_id:06d}",
                "step": effect.step,
                "channel": effect.channel,
                "state": effect.state,
                "sent_at": effect.sent_at.astimezone(zone),
                "detail": mask(effect.detail),
                "what_to_do": WHAT_TO_DO if effect.state == "uncertain" else IN_FLIGHT,
            }
            for effect in reports.uncertain_effects(tx, name)
        ],
    }


def show_status(found: dict[str, Any], *, as_json: bool) -> None:
    """Print what `read_status` returned."""
    if as_json:
        print_json(found)
        return
    if not found["journeys"]:
        typer.echo("No feedback yet. Next: amends import FILE --journey JOURNEY.yaml, or amends demo")
    for journey in found["journeys"]:
        _show_journey(journey)
    if found["webhooks"]:
        _show_webhooks(found["webhooks"])
    if found["incidents"]:
        heading("Incidents: these channels, templates or contacts wait for a person")
        for incident in found["incidents"]:
            zone = ZoneInfo(found["journeys"][0]["timezone"]) if found["journeys"] else ZoneInfo("UTC")
            typer.echo(
                f"  {incident['stopped']} [{incident['code']}] since {moment(incident['opened_at'], zone)}, "
                f"{incident['times']:,} times: {incident['detail']}"
            )


def _show_webhooks(doors: list[dict[str, Any]]) -> None:
    heading(f"Webhooks, last {WEBHOOK_DAYS} days")
    rows = []
    for door in doors:
        turned_away = {
            name: n for name, n in door["requests"].items() if name not in ("accepted", "duplicate")
        }
        told = ", ".join(f"{name.replace('_', ' ')} {n:,}" for name, n in turned_away.items())
        taken = [door["requests"].get(name, 0) for name in ("accepted", "duplicate")]
        rows.append([door["door"], *taken, told or "-", *door["events"].values()])
    print_table(["door", "accepted", "duplicate", "refused", *LEFT], rows)


def _show_journey(journey: dict[str, Any]) -> None:
    zone = ZoneInfo(journey["timezone"])
    heading(f"Journey {journey['journey']} (times in {journey['timezone']})")
    print_table(
        ["from rating to voucher", "count"], [[k.replace("_", " "), v] for k, v in journey["funnel"].items()]
    )
    if journey["service_levels"]:
        print_table(
            ["service level", "target", "met", "breached", "running", "share met"],
            [
                [
                    line["severity"],
                    line["target"].replace("_", " "),
                    line["met"],
                    line["breached"],
                    line["running"],
                    "-" if line["share_met"] is None else f"{line['share_met']:.0%}",
                ]
                for line in journey["service_levels"]
            ],
        )
    due = ", ".join(
        f"{step.replace('_', ' ')} {count:,}" for step, count in sorted(journey["due_now"].items())
    )
    typer.echo(f"Due now: {due or 'nothing'}")
    if journey["quarantine"]:
        waiting = journey["quarantine_open"]
        typer.echo(f"Quarantine: {waiting:,} rows wait (amends quarantine list); the newest:")
        for row in journey["quarantine"]:
            told = f"{row['location']}: {'; '.join(row['problems'])}"
            typer.echo(f"  {row['entry']}  {moment(row['at'], zone)}  {told}")
    if journey["uncertain"]:
        typer.echo(f"Uncertain: {len(journey['uncertain']):,} messages whose fate is not known.")
        for effect in journey["uncertain"]:
            sent = f"{effect['step']} by {effect['channel']}, {moment(effect['sent_at'], zone)}"
            told = effect["detail"] or effect["state"]
            typer.echo(f"  effect {effect['effect']}  {effect['case']}  {sent}: {told}")
        for advice in sorted({effect["what_to_do"] for effect in journey["uncertain"]}):
            typer.echo(f"  {advice}")
