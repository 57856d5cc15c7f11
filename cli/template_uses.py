"""Which ZNS templates a journey sends, and with what: the longest values that customers commonly bring."""

from collections.abc import Iterator
from datetime import UTC, datetime

from amends.domain.case import Case, Customer
from amends.domain.decision import message_variables, voucher_variables
from amends.domain.journey import ComplaintJourney
from amends.domain.journey.base import Severity
from amends.domain.journey.messages import CustomerMessage
from amends.domain.messages import render
from connectors.examination import TemplateUse

LONG_NAME = "Nguyễn Hoàng Thị Thuỳ Trang Anh"[:30]
"""30 characters, as many as we ever send of a name."""


def messages_of(journey: ComplaintJourney) -> dict[str, CustomerMessage]:
    """The messages this journey sends, by field."""
    sent = {"acknowledge": journey.acknowledge}
    if journey.survey.enabled:
        sent["survey.message"] = journey.survey.message
    if journey.reward.enabled:
        sent["reward.message"] = journey.reward.message
    return sent


def template_uses(journey: ComplaintJourney) -> list[TemplateUse]:
    """Every template in every language, with sample values; empty when the journey does not send over ZNS."""
    return list(_uses(journey)) if "zns" in journey.channels else []


def _uses(journey: ComplaintJourney) -> Iterator[TemplateUse]:
    for field, message in messages_of(journey).items():
        for language, template in message.zns.items():
            variables = message_variables(_sample_case(journey), journey, language)
            if field == "reward.message":
                expires = datetime(2030, 12, 31, 5, tzinfo=UTC)
                variables |= voucher_variables("A" * 22, journey.reward.value_vnd, expires, journey)
            yield TemplateUse(
                template.template_id,
                f"{field}.zns.{language}",
                {name: render(text, variables) for name, text in template.params.items()},
                {"survey.message": "rating", "reward.message": "voucher"}.get(field, "care"),  # type: ignore[arg-type]
            )


def _sample_case(journey: ComplaintJourney) -> Case:
    branches = [branch for agent in journey.agents for branch in agent.branches]
    return Case(
        id=999_999,
        journey=journey.name,
        version_id=0,
        opened_at=datetime(2026, 1, 1, tzinfo=UTC),
        stars=1,
        severity=Severity.NORMAL,
        customer=Customer(0, name=LONG_NAME),
        branch=max(branches, key=len, default=None),
        product="Áo khoác",
    )
