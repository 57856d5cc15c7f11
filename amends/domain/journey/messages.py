"""The texts and templates a journey sends, per channel and language."""

from typing import Literal

from pydantic import Field, field_validator

from amends.domain.journey.base import Language, Part
from amends.domain.messages import check_template

CustomerChannel = Literal["zns", "zalo_chat", "email"]


class ZnsTemplate(Part):
    """A template approved at Zalo and what to put into its parameters."""

    template_id: str = Field(
        title="Template id", min_length=1, max_length=40, description="The approved template's id at Zalo."
    )
    params: dict[str, str] = Field(
        title="Parameters",
        description="Each parameter of the template and its text, e.g. customer_name: '{{ customer_name }}'.",
    )

    @field_validator("params")
    @classmethod
    def _known_variables(cls, params: dict[str, str]) -> dict[str, str]:
        for text in params.values():
            check_template(text)
        return params


class ChatText(Part):
    """A consultation message of the Official Account, to customers who have chatted with it lately."""

    text: str = Field(
        title="Text", min_length=1, max_length=2000, description="Plain text; {{ variables }} allowed."
    )

    @field_validator("text")
    @classmethod
    def _known_variables(cls, text: str) -> str:
        check_template(text)
        return text


class MailText(Part):
    """A mail in one language."""

    subject: str = Field(
        title="Subject", min_length=1, max_length=150, description="One line; {{ variables }} allowed."
    )
    body: str = Field(
        title="Body", min_length=1, max_length=5000, description="Plain text; {{ variables }} allowed."
    )

    @field_validator("subject", "body")
    @classmethod
    def _known_variables(cls, text: str) -> str:
        check_template(text)
        return text


class CustomerMessage(Part):
    """One message to the customer, per channel and language. A channel without text is not used."""

    zns: dict[Language, ZnsTemplate] = Field(
        default_factory=dict, title="ZNS", description="Template per language (vi, en)."
    )
    zalo_chat: dict[Language, ChatText] = Field(
        default_factory=dict, title="Zalo chat", description="Consultation message per language (vi, en)."
    )
    email: dict[Language, MailText] = Field(
        default_factory=dict, title="Mail", description="Mail per language (vi, en)."
    )

    def texts(self) -> list[str]:
        """Every text of it that has variables filled in."""
        return [
            *(text for template in self.zns.values() for text in template.params.values()),
            *(chat.text for chat in self.zalo_chat.values()),
            *(text for mail in self.email.values() for text in (mail.subject, mail.body)),
        ]
