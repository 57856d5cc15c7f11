"""One case as people read it: no phone number, mail address or full name, times in the zone of its journey version."""

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import typer

from amends.domain.case import Case, Customer
from amends.domain.contacts import mask, mask_email, mask_phone
from amends.domain.sla import SlaClock, state_of
from amends.store import cases, journeys, lookups, tickets, timeline
from amends.store.engine import Store
from cli.show import heading, moment, print_json, print_table


def read_case(store: Store, case_id: int) -> dict[str, Any] | None:
    """The case as plain data, masked, with aware times in the brand's zone; None when there is none."""
    now = datetime.now(UTC)
    with store.read() as tx:
        case = cases.load(tx, [case_id], messages_since=now).get(case_id)
        if case is None:
            return None
        journey = journeys.load(tx, case.version_id)
        clocks = tickets.clocks(tx, [case_id])
        ratings = lookups.ratings_of(tx, case_id)
        effects = lookups.effects_of(tx, case_id)
        lines = timeline.of_case(tx, case_id)
        facts = lookups.ticket(tx, case.ticket.id) if case.ticket else None
    zone = journey.zone

    def local(at: datetime | None) -> datetime | None:
        return at.astimezone(zone) if at else None

    return {
        "case": case.code,
        "journey": case.journey,
        "timezone": journey.timezone,
        "opened_at": local(case.opened_at),
        "closed_at": local(case.closed_at),
        "stars": case.stars,
        "severity": case.severity.value,
        "branch": case.branch,
        "product": case.product and mask(case.product),
        "outcome": case.outcome.value if case.outcome else None,
        "outcome_reason": mask(case.outcome_reason),
        "customer": _customer(case.customer, zone),
        "ratings": [
            {
                "at": local(rating.occurred_at),
                "source": rating.source,
                "rating": rating.rating,
                "scale": rating.scale,
                "text": mask(rating.text),
            }
            for rating in ratings
        ],
        "ticket": _ticket(case, facts, zone),
        "clocks": [_clock(clock, zone, now) for _, clock in sorted(clocks.items())],
        "effects": [
            {
                "step": effect.step,
                "channel": effect.channel,
                "ordinal": effect.ordinal,
                "state": effect.state,
                "attempts": effect.attempts,
                "code": effect.code,
                "detail": mask(effect.detail),
                "cost_vnd": effect.cost_vnd,
                "tracking_id": effect.tracking_id,
                "provider_id": effect.provider_id,
                "sent_at": local(effect.sent_at),
                "settled_at": local(effect.settled_at),
                "next_attempt_at": local(effect.next_attempt_at),
            }
            for effect in effects
        ],
        "timeline": [
            {"at": local(line.at), "event": line.event, "actor": line.actor, "detail": mask(line.detail)}
            for line in lines
        ],
    }


def _customer(customer: Customer, zone: ZoneInfo) -> dict[str, Any]:
    return {
        "id": customer.id,
        "name": initials(customer.name),
        "phone": mask_phone(customer.phone) if customer.phone else None,
        "email": mask_email(customer.email) if customer.email else None,
        "language": customer.language,
        "opted_out_at": customer.opted_out_at and customer.opted_out_at.astimezone(zone),
        "forgotten_at": customer.forgotten_at and customer.forgotten_at.astimezone(zone),
    }


def initials(name: str | None) -> str | None:
    """`Nguyễn Thị Lan` as `N.T.L.`: enough to see that two lines are one person."""
    return "".join(f"{word[0]}." for word in name.split()) if name else None


def _ticket(case: Case, facts: lookups.TicketFacts | None, zone: ZoneInfo) -> dict[str, Any] | None:
    ticket = case.ticket
    if ticket is None:
        return None
    return {
        "id": ticket.id,
        "state": ticket.state.value,
        "severity": ticket.severity.value,
        "agent": ticket.assignee,
        "reopened": ticket.cycle,
        "opened_at": ticket.opened_at and ticket.opened_at.astimezone(zone),
        "first_response_at": ticket.first_response_at and ticket.first_response_at.astimezone(zone),
        "solved_at": ticket.solved_at and ticket.solved_at.astimezone(zone),
        "root_cause": mask(facts.root_cause) if facts and facts.root_cause else None,
    }


def _clock(clock: SlaClock, zone: ZoneInfo, now: datetime) -> dict[str, Any]:
    return {
        "target": clock.kind.value,
        "cycle": clock.cycle,
        "state": state_of(clock, now).value,
        "started_at": clock.started_at.astimezone(zone),
        "due_at": clock.due_at.astimezone(zone),
        "met_at": clock.met_at and clock.met_at.astimezone(zone),
    }


def show_case(found: dict[str, Any], *, as_json: bool) -> None:
    """Print what `read_case` returned."""
    if as_json:
        print_json(found)
        return
    zone = ZoneInfo(found["timezone"])
    about = " · ".join(part for part in (found["branch"], found["product"]) if part)
    ended = f"closed {moment(found['closed_at'], zone)}" if found["closed_at"] else "open"
    typer.secho(f"{found['case']} · {found['stars']}/5 · {found['severity']} · {ended}", bold=True)
    typer.echo(f"Journey {found['journey']}{f' · {about}' if about else ''} · times in {found['timezone']}")
    if found["outcome"]:
        typer.echo(f"Outcome: {found['outcome']} ({found['outcome_reason']})")
    customer = found["customer"]
    told = [customer["name"], customer["phone"], customer["email"], customer["language"]]
    typer.echo(f"Customer {customer['id']}: {', '.join(t for t in told if t) or 'no contact known'}")
    if customer["forgotten_at"]:
        typer.echo(f"Personal data removed {moment(customer['forgotten_at'], zone)}")
    elif customer["opted_out_at"]:
        typer.echo(f"Opted out {moment(customer['opted_out_at'], zone)}")
    for rating in found["ratings"]:
        mark = f"{rating['rating']:g}" if rating["rating"] is not None else "-"
        words = " ".join(rating["text"].split()) or "(no words)"
        typer.echo(f"  {moment(rating['at'], zone)}  {rating['source']}  {mark} ({rating['scale']}): {words}")
    if ticket := found["ticket"]:
        agent = ticket["agent"] or "nobody"
        cause = f", root cause: {ticket['root_cause']}" if ticket["root_cause"] else ""
        typer.echo(f"Ticket {ticket['id']}: {ticket['state']}, {ticket['severity']}, with {agent}{cause}")
    if found["clocks"]:
        heading("Deadlines")
        print_table(
            ["target", "cycle", "state", "due", "met"],
            [
                [c["target"], c["cycle"], c["state"], moment(c["due_at"], zone), moment(c["met_at"], zone)]
                for c in found["clocks"]
            ],
        )
    if found["effects"]:
        heading("Messages and vouchers")
        print_table(
            ["sent", "step", "channel", "state", "tries", "code", "detail"],
            [
                [
                    moment(e["sent_at"], zone),
                    e["step"],
                    e["channel"],
                    e["state"],
                    e["attempts"],
                    e["code"] or "",
                    e["detail"],
                ]
                for e in found["effects"]
            ],
        )
    heading("Timeline")
    print_table(
        ["when", "event", "by", "detail"],
        [
            [moment(line["at"], zone), line["event"], line["actor"], line["detail"]]
            for line in found["timeline"]
        ],
    )
