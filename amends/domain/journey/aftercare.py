"""What follows a solved ticket: the survey, the reward, and when a case is over."""

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field

from amends.domain.journey.base import CODE_PREFIX, Part
from amends.domain.journey.messages import CustomerMessage


class CaseOutcome(StrEnum):
    """How a case ended."""

    SATISFIED = "satisfied"
    UNSATISFIED = "unsatisfied"
    SILENT = "silent"
    SUPPRESSED = "suppressed"
    UNREACHABLE = "unreachable"


class Survey(Part):
    """The satisfaction survey, a ZNS service-rating template, after the ticket is solved."""

    enabled: bool = Field(True, title="Send surveys", description="Off: cases end without being asked.")
    message: CustomerMessage = Field(
        title="Message", description="The question; on ZNS, a service-rating template."
    )
    delay_hours: float = Field(
        24, title="Delay", ge=0, le=720, description="Hours after the ticket is solved."
    )
    reminder_after_hours: float = Field(
        48,
        title="Reminder",
        ge=0,
        le=720,
        description="Hours after the survey until the one reminder; 0: none.",
    )
    answer_window_hours: float = Field(
        96,
        title="Answer window",
        ge=1,
        le=2_160,
        description="Hours after the survey until silence is the answer.",
    )
    holdout_percent: float = Field(
        0,
        title="Holdout",
        ge=0,
        le=50,
        description="Share of cases, in percent, that gets no survey, to measure its effect.",
    )


class GeneratedCodes(Part):
    """Codes made by us: prefix and ten random characters that are hard to confuse."""

    kind: Literal["generated"] = Field(title="Kind", description="generated: codes made by us.")
    prefix: str = Field(
        "",
        title="Prefix",
        max_length=12,
        pattern=CODE_PREFIX,
        description="Every code begins with it: capital letters and digits.",
    )


class PooledCodes(Part):
    """Codes from a file of the shop system, one a line, each given away once."""

    kind: Literal["pool"] = Field(title="Kind", description="pool: codes from a file.")
    path: str = Field(
        title="File", description="Text file with one code a line, relative to the working directory."
    )


class Budget(Part):
    """What this journey may give away in all."""

    count: int = Field(title="Vouchers", ge=0, description="Number of vouchers.")
    vnd: int = Field(title="Value", ge=0, description="Sum of their values, in VND.")


class Reward(Part):
    """The loyalty voucher."""

    enabled: bool = Field(True, title="Give vouchers", description="Off: nobody gets one.")
    outcomes: list[CaseOutcome] = Field(
        default_factory=lambda: [CaseOutcome.SATISFIED, CaseOutcome.SILENT],
        title="For",
        description="Case outcomes that earn a voucher.",
    )
    message: CustomerMessage = Field(title="Message", description="Brings the voucher to the customer.")
    value_vnd: int = Field(
        title="Value", ge=1_000, le=100_000_000, description="Value of one voucher, in VND."
    )
    valid_days: int = Field(
        30, title="Valid for", ge=1, le=730, description="Days from the day it is issued."
    )
    codes: Annotated[GeneratedCodes | PooledCodes, Field(discriminator="kind")] = Field(
        title="Codes", description="Made by us, or taken from a file of the shop system."
    )
    budget: Budget = Field(title="Budget", description="No voucher is given beyond it.")
    holdout_percent: float = Field(
        0,
        title="Holdout",
        ge=0,
        le=50,
        description="Share of cases, in percent, that gets no voucher, to measure its effect.",
    )
