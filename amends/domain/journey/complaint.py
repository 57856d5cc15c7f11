"""The complaint journey: win back customers who rated us badly."""

import hashlib
import json
from collections.abc import Iterator
from datetime import time
from functools import cache, cached_property
from zoneinfo import ZoneInfo, available_timezones

from pydantic import Field, field_validator, model_validator

from amends.domain.business_time import BusinessCalendar
from amends.domain.journey.aftercare import Reward, Survey
from amends.domain.journey.base import DEFAULT_ACCOUNT, Language, Name, Part, TimeOfDay, time_of
from amends.domain.journey.care import Agent, Sla, TicketRule, WeeklyHours, weekly_periods
from amends.domain.journey.messages import CustomerChannel, CustomerMessage
from amends.domain.journey.sources import BadRatings, Source
from amends.domain.messages import VOUCHER_VARIABLES, variables_of
from amends.domain.quiet_hours import QuietHours


class QuietTime(Part):
    """No message to a customer between these times, in the brand's time zone."""

    start: TimeOfDay = Field("21:00", title="From", description="Equal to the end: no quiet hours.")
    end: TimeOfDay = Field("08:00", title="To", description="Messages held back go out from this time on.")


class MessageCap(Part):
    """How many messages one customer may get from us, all journeys together."""

    messages: int = Field(8, title="Messages", ge=1, le=1_000, description="At most so many messages ...")
    days: int = Field(30, title="Days", ge=1, le=365, description="... in so many days.")


class ComplaintJourney(Part):
    """Everything a marketer decides about the complaint journey. Addresses and secrets are settings, not here."""

    name: Name = Field(title="Journey", description="Short name; cases, reports and the deployment carry it.")
    brand: str = Field(title="Brand", min_length=1, max_length=30, description="As customers know it.")
    timezone: str = Field(
        "Asia/Ho_Chi_Minh", title="Time zone", description="IANA name; all hours below are in it."
    )
    language: Language = Field(
        Language.VI, title="Language", description="For customers whose language is unknown."
    )
    paused: bool = Field(False, title="Paused", description="Ratings are still taken in; nothing is sent.")
    sources: list[Source] = Field(title="Sources", min_length=1, description="Where ratings come from.")
    bad_ratings: BadRatings = Field(
        default_factory=BadRatings, title="Bad ratings", description="What opens a case, per scale."
    )
    oldest_rating_days: float = Field(
        30,
        title="Oldest rating",
        gt=0,
        le=3_650,
        description="Days; older bad ratings open no case any more.",
    )
    merge_window_hours: float = Field(
        72,
        title="Merge window",
        ge=0,
        le=720,
        description="Bad ratings of one customer this close join one case.",
    )
    zalo_account: Name = Field(
        DEFAULT_ACCOUNT,
        title="Official Account",
        description="Which of the brand's Zalo Official Accounts speaks, by its name in the settings.",
    )
    zalo_chat_hours: float = Field(
        48,
        title="Chat window",
        gt=0,
        le=168,
        description="Hours after the customer's last chat in which zalo_chat is used; Zalo charges beyond 48.",
    )
    channels: list[CustomerChannel] = Field(
        default=["zns", "email"],
        title="Channels",
        min_length=1,
        description="In the order to try; the first that reaches the customer is used.",
    )
    quiet_hours: QuietTime = Field(
        default_factory=QuietTime, title="Quiet hours", description="When no customer is messaged."
    )
    message_cap: MessageCap = Field(
        default_factory=MessageCap, title="Message cap", description="How much one customer hears from us."
    )
    opening_hours: WeeklyHours = Field(
        default_factory=WeeklyHours,
        title="Opening hours",
        description="Outside them the service-level clocks stand still.",
    )
    holidays: str | None = Field(
        "VN", title="Holidays of", description="Country code; empty: no public holidays."
    )
    acknowledge: CustomerMessage = Field(title="Apology", description="Sent as soon as a case is opened.")
    tickets: TicketRule = Field(
        default_factory=TicketRule, title="Tickets", description="How urgent a ticket is and who gets it."
    )
    agents: list[Agent] = Field(title="Agents", min_length=1, description="Who solves tickets.")
    sla: Sla = Field(
        default_factory=Sla,
        title="Service levels",
        description="How soon agents must act, and who hears of it when they do not.",
    )
    survey: Survey = Field(title="Survey", description="Asked after the ticket is solved.")
    reward: Reward = Field(title="Reward", description="The voucher at the end.")
    max_reopens: int = Field(
        1, title="Reopenings", ge=0, le=5, description="How often an unsatisfied answer reopens the ticket."
    )

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, zone: str) -> str:
        if zone not in _zones():
            raise ValueError(f"{zone!r} is no IANA time zone; use a name such as Asia/Ho_Chi_Minh")
        return zone

    @field_validator("holidays")
    @classmethod
    def _known_country(cls, country: str | None) -> str | None:
        if not country:  # forms send an empty string for a field left empty
            return None
        _ = BusinessCalendar("UTC", {0: ((time(0), time(0)),)}, country)  # raises for an unknown one
        return country

    @model_validator(mode="after")
    def _consistent(self) -> "ComplaintJourney":
        names = [source.name for source in self.sources]
        if twice := {name for name in names if names.count(name) > 1}:
            raise ValueError(f"sources: the name {min(twice)!r} is used twice; give each source its own")
        agents = [agent.name for agent in self.agents]
        if twice := {name for name in agents if agents.count(name) > 1}:
            raise ValueError(f"agents: the name {min(twice)!r} is used twice; give each agent their own")
        for title, message in self._messages():
            if not any(self.language in getattr(message, channel) for channel in self.channels):
                raise ValueError(
                    f"{title}: no text in the journey's language ({self.language}) for any of the channels "
                    f"{', '.join(self.channels)}; add one, e.g. {title}.{self.channels[0]}.{self.language}"
                )
            reserved = set().union(*(variables_of(text) for text in message.texts())) & VOUCHER_VARIABLES
            if title != "reward.message" and reserved:
                raise ValueError(f"{title}: only reward.message may use {min(reserved)!r}; take it out")
        if self.survey.reminder_after_hours >= self.survey.answer_window_hours:
            raise ValueError(
                "survey: the reminder must come before the answer window ends; lengthen answer_window_hours"
            )
        try:
            _ = self.calendar
        except ValueError as error:
            raise ValueError(f"opening_hours: {error}") from None
        return self

    def _messages(self) -> Iterator[tuple[str, CustomerMessage]]:
        """The messages this journey sends, by the name of their field."""
        yield "acknowledge", self.acknowledge
        if self.survey.enabled:
            yield "survey.message", self.survey.message
        if self.reward.enabled:
            yield "reward.message", self.reward.message

    @cached_property
    def calendar(self) -> BusinessCalendar:
        return BusinessCalendar(self.timezone, weekly_periods(self.opening_hours), country=self.holidays)

    @cached_property
    def quiet(self) -> QuietHours:
        start, end = time_of(self.quiet_hours.start), time_of(self.quiet_hours.end)
        return QuietHours(start, end, self.timezone)

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.timezone)

    def agent(self, name: str) -> Agent | None:
        return next((agent for agent in self.agents if agent.name == name), None)

    def contacts(self) -> set[str]:
        """Every contact the settings must know an address for."""
        return {agent.contact for agent in self.agents} | {rung.contact for rung in self.sla.ladder}


@cache
def _zones() -> set[str]:
    return available_timezones()  # walks through all files of the zone database


def version_of(journey: ComplaintJourney) -> str:
    """The content hash that names this version of the journey (16 hex characters of SHA-256)."""
    canonical = json.dumps(journey.model_dump(mode="json"), sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]
