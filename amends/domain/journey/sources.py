"""Where feedback comes from, and what counts as a bad rating on each scale."""

from typing import Annotated, Literal

from pydantic import Field

from amends.domain.columns import Columns
from amends.domain.journey.base import Name, Part
from amends.domain.ratings import Scale


class FileSource(Part):
    """Files dropped into a folder: exports of a marketplace, a till, a survey tool."""

    kind: Literal["file"] = Field(title="Kind", description="file: exports dropped into a folder.")
    name: Name = Field(
        title="Name", description="The source's name in reports; part of each rating's identity."
    )
    path: str = Field(
        title="Files",
        description="Path or pattern, relative to the working directory: inbox/*.csv, *.tsv, *.jsonl.",
    )
    columns: Columns | None = Field(
        None, title="Columns", description="Which column holds what. Empty: guessed from the header."
    )


class ZnsRatingSource(Part):
    """Answers to a ZNS service-rating template that somebody else sends, for example after each purchase."""

    kind: Literal["zns_rating"] = Field(title="Kind", description="zns_rating: answers to a rating template.")
    name: Name = Field(title="Name", description="The source's name in reports.")
    template_id: str = Field(
        title="Template id", min_length=1, max_length=40, description="The rating template's id at Zalo."
    )


class WebhookSource(Part):
    """Ratings that another system sends us, signed, as they happen: a till, an app, a survey tool."""

    kind: Literal["webhook"] = Field(title="Kind", description="webhook: ratings sent to us as they happen.")
    name: Name = Field(
        title="Name",
        description="Part of the address, /webhooks/in/NAME, and of each rating's identity; its secret is a setting.",
    )
    columns: Columns | None = Field(
        None,
        title="Columns",
        description="Which field holds what. Empty: guessed from the names of the fields.",
    )


Source = Annotated[FileSource | ZnsRatingSource | WebhookSource, Field(discriminator="kind")]


class BadRatings(Part):
    """The highest mark that opens a case, per scale. 1 is always the worst mark; 0 turns a scale off."""

    five_stars: int = Field(3, title="5 stars", ge=0, le=5, description="Of 1 to 5 stars.")
    ten_points: int = Field(6, title="10 points", ge=0, le=10, description="Of 1 to 10 points.")
    five_emotions: int = Field(3, title="5 emotions", ge=0, le=5, description="Of Zalo's five faces.")
    three_emotions: int = Field(
        1, title="3 emotions", ge=0, le=3, description="Of Zalo's three faces; 3 is the best."
    )

    def up_to(self, scale: Scale) -> int:
        return {
            Scale.FIVE_STARS: self.five_stars,
            Scale.TEN_POINTS: self.ten_points,
            Scale.FIVE_EMOTIONS: self.five_emotions,
            Scale.THREE_EMOTIONS: self.three_emotions,
        }[scale]
