"""The audit in this process, and its findings for people and for programs. No personal data in any of them."""

import asyncio
from collections.abc import Sequence
from typing import Any

import typer

from amends.clock import SystemClock
from amends.settings import Settings
from amends.store.audit import Finding, audit
from amends.store.engine import Store
from cli.guard import Trouble
from cli.show import heading, print_json


def verify_now(settings: Settings, store: Store, *, offline: bool) -> list[Finding]:
    """Check every rule now. Raises Trouble when the run at Prefect could not be made."""
    if offline:
        return audit(store, SystemClock().now())
    from prefect.settings import PREFECT_API_URL, temporary_settings

    from cli.sweeping import api_in_use
    from tasks.sweep import Runtime, use_runtime

    use_runtime(Runtime(settings, store, SystemClock()))
    with api_in_use(settings) as url, temporary_settings({PREFECT_API_URL: url}):
        return asyncio.run(_run())


async def _run() -> list[Finding]:
    from flows.verify import verify

    state = await verify(return_state=True)
    result: Any = await state.aresult(raise_on_failure=False)
    if isinstance(result, Exception):
        raise result
    if not isinstance(result, list):
        raise Trouble(f"the audit ended as {state.name}: {state.message}")
    return result


def show(findings: Sequence[Finding], *, as_json: bool) -> None:
    """Print what was found; with JSON, every rule."""
    violated = [finding for finding in findings if finding.violated]
    if as_json:
        print_json({"clean": not violated, "rules": [_as_data(finding) for finding in findings]})
        return
    for finding in findings:
        if finding.count:
            _show(finding)
    typer.echo(in_a_line(findings))


def show_violations(findings: Sequence[Finding]) -> None:
    """Print what is violated, and nothing of the rest."""
    for finding in findings:
        if finding.violated:
            _show(finding)


def in_a_line(findings: Sequence[Finding]) -> str:
    """`verify: 40 rules, clean`, or how many of them are violated."""
    violated = sum(finding.violated for finding in findings)
    return f"verify: {len(findings)} rules, {f'{violated} violated' if violated else 'clean'}"


def _show(finding: Finding) -> None:
    rule = finding.rule
    heading(f"{'note' if rule.note else 'VIOLATED'} {rule.id}: {finding.count:,} times")
    typer.echo(f"  {rule.sentence}")
    for example in finding.examples:
        of = [f"case {example.case}" if example.case else "", example.journey or ""]
        typer.echo(f"  - {', '.join([example.what, *filter(None, of)])}")
    if finding.count > len(finding.examples):
        typer.echo(f"  ... and {finding.count - len(finding.examples):,} more")
    typer.echo(f"  What to do: {rule.fix}")


def _as_data(finding: Finding) -> dict[str, Any]:
    rule = finding.rule
    return {
        "rule": rule.id,
        "violated": finding.violated,
        "note": rule.note,
        "count": finding.count,
        "sentence": rule.sentence,
        "what_to_do": rule.fix,
        "examples": [
            {"what": one.what, "case": one.case, "journey": one.journey} for one in finding.examples
        ],
    }
