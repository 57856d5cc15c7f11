"""The ledger on the store: listing it, and what an operator does to single effects."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import typer

from amends.domain.contacts import mask
from amends.domain.effects import EffectState, Step
from amends.store import ledger_lookups, repair, reports
from amends.store.engine import Store, Tx
from amends.store.ledger_lookups import EffectFilter, ListedEffect
from amends.store.repair import By, Repaired, RepairProblem
from cli.guard import Trouble, warn
from cli.show import heading, moment, print_json, print_table
from cli.words import case_number, one_of, start_of_day, zone_of


@dataclass(frozen=True, slots=True)
class Wanted:
    """The filters as they were typed."""

    states: Sequence[str]
    step: str | None
    channel: str | None
    journey: str | None
    case: str | None
    code: str | None
    since: str | None
    until: str | None


def read_effects(
    store: Store, wanted: Wanted, *, limit: int, after: int | None, oldest: bool
) -> dict[str, Any]:
    """A page of effects as plain data, masked, with aware times in the zone of each brand.

    `next_after` goes on where the page ends; None when nothing follows. Raises Trouble for a wrong filter.
    """
    now = datetime.now(UTC)
    with store.read() as tx:
        filters = _filters(tx, wanted, now)
        page = ledger_lookups.list_effects(tx, filters, limit=limit + 1, after_id=after, oldest_first=oldest)
        zones = {name: zone_of(tx, name, now) for name in {effect.journey for effect in page}}
    shown = page[:limit]
    return {
        "effects": [_plain(effect, zones[effect.journey]) for effect in shown],
        "next_after": shown[-1].id if len(page) > limit else None,
    }


def _filters(tx: Tx, wanted: Wanted, now: datetime) -> EffectFilter:
    states = [EffectState(one_of("--state", state, list(EffectState))) for state in wanted.states]
    zone = _zone_of_days(tx, wanted, now)
    return EffectFilter(
        states,
        Step(one_of("--step", wanted.step, list(Step))) if wanted.step else None,
        wanted.channel,
        wanted.journey,
        case_number(wanted.case) if wanted.case else None,
        wanted.code,
        start_of_day("--since", wanted.since, zone) if wanted.since else None,
        start_of_day("--until", wanted.until, zone, days_later=1) if wanted.until else None,
    )


def _zone_of_days(tx: Tx, wanted: Wanted, now: datetime) -> ZoneInfo:
    """The zone in which days are meant. Raises Trouble when the journeys do not agree on one."""
    if not (wanted.since or wanted.until):
        return ZoneInfo("UTC")
    names = [wanted.journey] if wanted.journey else reports.journeys_known(tx)
    zones = {zone_of(tx, name, now).key for name in names}
    if len(zones) > 1:
        raise Trouble("the journeys are in several zones; name one with --journey beside the days", 2)
    return ZoneInfo(zones.pop() if zones else "UTC")


def _plain(effect: ListedEffect, zone: ZoneInfo) -> dict[str, Any]:
    def local(at: datetime | None) -> datetime | None:
        return at.astimezone(zone) if at else None

    return {
        "id": effect.id,
        "case": f"AM{effect.case_id:06d}",
        "journey": effect.journey,
        "timezone": zone.key,
        "step": effect.step,
        "channel": effect.channel,
        "ordinal": effect.ordinal,
        "state": effect.state,
        "attempts": effect.attempts,
        "policy": effect.policy,
        "template_id": effect.template_id,
        "tracking_id": effect.tracking_id,
        "provider_id": effect.provider_id,
        "code": effect.code,
        "detail": mask(effect.detail),
        "cost_vnd": effect.cost_vnd,
        "created_at": local(effect.created_at),
        "sent_at": local(effect.sent_at),
        "settled_at": local(effect.settled_at),
        "next_attempt_at": local(effect.next_attempt_at),
    }


def show_effects(found: dict[str, Any], *, as_json: bool) -> None:
    """Print what `read_effects` returned."""
    if as_json:
        print_json(found)
        return
    if not found["effects"]:
        typer.echo("No such effects.")
        return
    columns = ["id", "last tried", "case", "step", "channel", "state", "tries", "code", "detail"]
    rows = [
        [
            str(effect["id"]),
            moment(effect["sent_at"], ZoneInfo(effect["timezone"])),
            effect["case"],
            effect["step"],
            effect["channel"],
            effect["state"],
            effect["attempts"],
            effect["code"] or "",
            effect["detail"],
        ]
        for effect in found["effects"]
    ]
    print_table(columns, rows)
    if found["next_after"] is not None:
        typer.echo(f"More: the same with --after {found['next_after']}")


def read_effect(store: Store, effect_id: int) -> dict[str, Any]:
    """One effect with its history as plain data, masked. Raises Trouble when there is none."""
    now = datetime.now(UTC)
    with store.read() as tx:
        story = ledger_lookups.story_of(tx, effect_id)
        if story is None:
            raise Trouble(f"there is no effect {effect_id}; `amends ledger list` shows them")
        zone = zone_of(tx, story.effect.journey, now)
    return {
        **_plain(story.effect, zone),
        "timeline": [
            {"at": e.at.astimezone(zone), "event": e.event, "actor": e.actor, "detail": mask(e.detail)}
            for e in story.lines
        ],
        "by_hand": [
            {"at": d.at.astimezone(zone), "actor": d.actor, "action": d.action, "detail": mask(d.detail)}
            for d in story.deeds
        ],
    }


def show_effect(found: dict[str, Any], *, as_json: bool) -> None:
    """Print what `read_effect` returned."""
    if as_json:
        print_json(found)
        return
    zone = ZoneInfo(found["timezone"])
    typer.secho(
        f"Effect {found['id']} · {found['case']} · {found['step']} by {found['channel']} · {found['state']}",
        bold=True,
    )
    typer.echo(f"Journey {found['journey']} · times in {found['timezone']}")
    for name in ("code", "detail", "template_id", "tracking_id", "provider_id", "policy"):
        if found[name]:
            typer.echo(f"  {name.replace('_', ' ')}: {found[name]}")
    typer.echo(f"  tries: {found['attempts']}, the last {moment(found['sent_at'], zone)}")
    if found["next_attempt_at"]:
        typer.echo(f"  next try: {moment(found['next_attempt_at'], zone)}")
    if found["settled_at"]:
        typer.echo(f"  settled: {moment(found['settled_at'], zone)}")
    for title, lines, what in (("Timeline", "timeline", "event"), ("By hand", "by_hand", "action")):
        if found[lines]:
            heading(title)
            rows = [[moment(e["at"], zone), e[what], e["actor"], e["detail"]] for e in found[lines]]
            print_table(["when", what, "by", "detail"], rows)


Do = Callable[[Tx, int, By], Repaired]


def settle_effects(
    store: Store,
    effect_ids: Sequence[int],
    by: str,
    why: str,
    *,
    sent: bool,
    provider_id: str | None,
    retry: bool,
    dry_run: bool,
) -> bool:
    """Settle each; tells what was done. Returns whether all of them could be."""

    def settle(tx: Tx, effect_id: int, by: By) -> Repaired:
        if sent:
            return repair.settle_sent(tx, effect_id, by, provider_id)
        settled = repair.settle_not_sent(tx, effect_id, by)
        return replace(repair.retry(tx, effect_id, by), before=settled.before) if retry else settled

    return _each(store, effect_ids, by, why, settle, dry_run)


def retry_effects(store: Store, effect_ids: Sequence[int], by: str, why: str, *, dry_run: bool) -> bool:
    """Put each back to be sent; tells what was done. Returns whether all of them could be."""
    return _each(store, effect_ids, by, why, repair.retry, dry_run)


def cancel_effects(store: Store, effect_ids: Sequence[int], by: str, why: str, *, dry_run: bool) -> bool:
    """Call each off; tells what was done. Returns whether all of them could be."""
    return _each(store, effect_ids, by, why, repair.cancel, dry_run)


def _each(store: Store, effect_ids: Sequence[int], by: str, why: str, do: Do, dry_run: bool) -> bool:
    """Every effect in a transaction of its own: one that cannot be done does not stop the others."""
    refused = 0
    for effect_id in dict.fromkeys(effect_ids):
        try:
            _tell(_carry_out(store, effect_id, By(by, why, datetime.now(UTC)), do, dry_run), dry_run)
        except RepairProblem as problem:
            warn(str(problem))
            refused += 1
    return refused == 0


class _NotReally(Exception):
    """Rolls a dry run back."""


def _carry_out(store: Store, effect_id: int, by: By, do: Do, dry_run: bool) -> Repaired:
    """Do it, or for a dry run do it and roll it back, so that what is told is what would happen."""
    done: list[Repaired] = []
    try:
        with store.begin() as tx:
            done.append(do(tx, effect_id, by))
            if dry_run:
                raise _NotReally
    except _NotReally:
        pass
    return done[0]


def _tell(done: Repaired, dry_run: bool) -> None:
    would = "Would change: effect" if dry_run else "Effect"
    typer.echo(
        f"{would} {done.effect_id} (AM{done.case_id:06d}, {done.step} by {done.channel}): "
        f"{done.before} -> {done.after}; {'; '.join(done.follows)}."
    )
