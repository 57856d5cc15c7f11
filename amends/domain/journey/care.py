"""Tickets, agents and service levels of a journey."""

from datetime import time
from typing import Literal

from pydantic import Field, field_validator

from amends.domain.journey.base import Name, Part, Period, Severity, time_of
from amends.domain.sla import ClockTarget

Weekday = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]


class Agent(Part):
    """Somebody who solves tickets."""

    name: Name = Field(title="Name", description="Short name; tickets and reports carry it.")
    contact: Name = Field(
        title="Contact",
        description="Name of a contact in the settings (AMENDS_CONTACTS), where the address is kept.",
    )
    branches: list[str] = Field(
        default_factory=list, title="Branches", description="Shops this agent serves; empty: any shop."
    )


_HOURS = "Periods such as 08:00-12:00; none: closed all day."


class WeeklyHours(Part):
    """Opening hours, in the brand's time zone; several periods a day are fine, an empty list is a closed day."""

    monday: list[Period] = Field(["08:00-21:00"], title="Monday", description=_HOURS)
    tuesday: list[Period] = Field(["08:00-21:00"], title="Tuesday", description=_HOURS)
    wednesday: list[Period] = Field(["08:00-21:00"], title="Wednesday", description=_HOURS)
    thursday: list[Period] = Field(["08:00-21:00"], title="Thursday", description=_HOURS)
    friday: list[Period] = Field(["08:00-21:00"], title="Friday", description=_HOURS)
    saturday: list[Period] = Field(["08:00-21:00"], title="Saturday", description=_HOURS)
    sunday: list[Period] = Field(["08:00-21:00"], title="Sunday", description=_HOURS)


def weekly_periods(hours: WeeklyHours) -> dict[int, tuple[tuple[time, time], ...]]:
    """The week as weekday (0 = Monday) to periods, the form business time takes."""
    days = (
        hours.monday,
        hours.tuesday,
        hours.wednesday,
        hours.thursday,
        hours.friday,
        hours.saturday,
        hours.sunday,
    )
    return {
        day: tuple((time_of(start), time_of(end)) for start, end in (period.split("-") for period in periods))
        for day, periods in enumerate(days)
    }


class Target(Part):
    """Service level for one severity."""

    first_response_minutes: int = Field(
        title="First response", ge=1, le=43_200, description="Minutes until an agent takes the ticket."
    )
    resolution_hours: int = Field(
        48, title="Resolution", ge=1, le=2_000, description="Hours until the ticket is solved."
    )
    count: Literal["business_hours", "calendar_hours"] = Field(
        "business_hours", title="Count", description="Whether the clock stops outside opening hours."
    )

    def first_response(self) -> ClockTarget:
        return ClockTarget(self.first_response_minutes, business=self.count == "business_hours")

    def resolution(self) -> ClockTarget:
        return ClockTarget(self.resolution_hours * 60, business=self.count == "business_hours")


class Rung(Part):
    """One level of the escalation ladder."""

    contact: Name = Field(title="Contact", description="Name of a contact in the settings.")
    after_minutes: int = Field(
        0, title="After", ge=0, le=43_200, description="Business minutes after the missed target."
    )


def _default_targets() -> dict[Severity, Target]:
    return {
        Severity.URGENT: Target(first_response_minutes=30, resolution_hours=8),
        Severity.HIGH: Target(first_response_minutes=60, resolution_hours=24),
        Severity.NORMAL: Target(first_response_minutes=120, resolution_hours=48),
        Severity.LOW: Target(first_response_minutes=480, resolution_hours=72),
    }


class Sla(Part):
    """First-response and resolution targets, the warning before and the escalation after a miss."""

    targets: dict[Severity, Target] = Field(
        default_factory=_default_targets,
        title="Targets",
        description="Per severity; a missing one takes the default.",
    )
    warn_share: float = Field(
        0.75, title="Warn at", gt=0, lt=1, description="Share of the target after which the agent is warned."
    )
    ladder: list[Rung] = Field(
        default_factory=list,
        title="Escalation ladder",
        max_length=9,
        description="Who hears of a missed target, in order.",
    )

    @field_validator("targets")
    @classmethod
    def _complete(cls, targets: dict[Severity, Target]) -> dict[Severity, Target]:
        return {**_default_targets(), **targets}

    @field_validator("ladder")
    @classmethod
    def _rising(cls, ladder: list[Rung]) -> list[Rung]:
        delays = [rung.after_minutes for rung in ladder]
        if delays != sorted(delays):
            raise ValueError(
                "each rung must come no earlier than the one before; sort the ladder by after_minutes"
            )
        return ladder


class TicketRule(Part):
    """How a bad rating becomes a ticket."""

    severity_by_stars: dict[int, Severity] = Field(
        default_factory=lambda: {1: Severity.URGENT, 2: Severity.HIGH, 3: Severity.NORMAL},
        title="Severity by stars",
        description="On five stars; other scales are mapped onto five. A missing one is normal.",
    )
    assign: Literal["branch", "round_robin"] = Field(
        "branch",
        title="Assign by",
        description="branch: an agent of that shop, in turn; round_robin: all in turn.",
    )

    def severity(self, stars: int) -> Severity:
        return self.severity_by_stars.get(stars, Severity.NORMAL)
