"""Which column of a source's rows holds what: the mapping that marketers fill in as a form."""

import csv
import difflib
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from amends.domain.ratings import Scale

EXAMPLE = "rating=n_star,text=comment,occurred_at=date_time"
"""What a mapping looks like on the command line."""


def _blank_is_none(value: Any) -> Any:
    """Forms send an empty string for a field left empty."""
    return (value.strip() or None) if isinstance(value, str) else value


Column = Annotated[str | None, BeforeValidator(_blank_is_none)]


class Columns(BaseModel):
    """The mapping from a source's columns to the fields of a feedback.

    Column names are those of the header, letter by letter. In JSON a dotted path (`created_by.id`) reaches
    into nested objects and, when `records` is set, `parent.product_id` reaches the object around the list.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", title="Columns of the source")

    external_id: Column = Field(
        None,
        title="Review id",
        description="Column with the source's own id of the review, never used twice. Leave it empty when "
        "there is none: the content of the row is its identity then.",
    )
    rating: Column = Field(
        None, title="Rating", description="Column with the mark, such as 4, 4 sao or 4/5. Empty for messages."
    )
    text: Column = Field(None, title="Text", description="Column with what the customer wrote.")
    occurred_at: Column = Field(
        None,
        title="Date",
        description="Column with the time of the review. Left empty, the time of the import counts.",
    )
    customer_ref: Column = Field(
        None, title="Customer id", description="Column with the source's own id of the customer."
    )
    customer_name: Column = Field(None, title="Customer name", description="Column with the customer's name.")
    phone: Column = Field(
        None, title="Phone", description="Column with the customer's mobile number, in any spelling."
    )
    email: Column = Field(None, title="Email", description="Column with the customer's email address.")
    zalo_uid: Column = Field(
        None,
        title="Zalo user id",
        description="Column with the customer's id at your Zalo Official Account.",
    )
    order_ref: Column = Field(
        None, title="Order", description="Column with the order number; reviews of one order join one case."
    )
    branch: Column = Field(None, title="Branch", description="Column with the shop or branch.")
    product: Column = Field(None, title="Product", description="Column with the product's name or id.")
    language: Column = Field(
        None, title="Language", description="Column with the language of the text, such as vi or en."
    )
    records: Column = Field(
        None,
        title="List inside JSON",
        description="Key of the list that holds the reviews when they are nested in JSON, such as reviews.",
    )
    scale: Scale = Field(
        Scale.FIVE_STARS,
        title="Scale",
        description="The points a customer could choose from; 1 is the worst.",
    )
    date_formats: tuple[str, ...] = Field(
        (),
        title="Date formats",
        description="strptime formats of the date column, tried in this order, such as %d-%m-%Y %H:%M:%S. "
        "Not needed for ISO dates, day-first dates, epoch seconds and words such as 2 tuần trước.",
    )
    source: Column = Field(
        None,
        title="Name of the source",
        description="Where the reviews come from, such as shopee. Left empty, the file's name counts.",
    )

    @model_validator(mode="after")
    def _usable(self) -> "Columns":
        if self.rating is None and self.text is None:
            raise ValueError("name the column of the rating or of the text, or of both")
        for form in self.date_formats:
            _check_date_format(form)
        return self

    def mapped(self) -> dict[str, str]:
        """The fields that have a column, in the order of the form."""
        given = self.__dict__
        return {name: column for name in COLUMN_FIELDS if (column := given[name]) is not None}


_SETTINGS = {"records", "scale", "date_formats", "source"}
COLUMN_FIELDS = tuple(name for name in Columns.model_fields if name not in _SETTINGS)
"""The fields of `Columns` that name a column."""


def parse_columns(text: str) -> Columns:
    """The mapping written as `rating=n_star,text=comment,scale=ten_points`, for the command line.

    A name with a comma in it stands in double quotes: `"text=Nội dung, ghi chú"`; several date formats are
    parted by `|`. Raises `ValueError` that names every wrong part and what is meant perhaps.
    """
    given: dict[str, Any] = {}
    wrong: list[str] = []
    for part in next(csv.reader([text], skipinitialspace=True), []):
        name, equals, value = (piece.strip() for piece in part.partition("="))
        if not part.strip():
            continue
        if not equals or not name or not value:
            wrong.append(f"{part.strip()!r} is not of the form field=column")
        elif name not in Columns.model_fields:
            near = difflib.get_close_matches(name, Columns.model_fields, n=1, cutoff=0.5)
            meant = f"did you mean {near[0]!r}?" if near else f"fields are {', '.join(Columns.model_fields)}"
            wrong.append(f"there is no field {name!r}: {meant}")
        elif name in given:
            wrong.append(f"the field {name!r} is given twice")
        else:
            given[name] = tuple(value.split("|")) if name == "date_formats" else value
    if not given and not wrong:
        wrong.append("the mapping is empty")
    if wrong:
        raise ValueError(f"{'; '.join(wrong)}. Write the columns as {EXAMPLE}")
    try:
        return Columns(**given)
    except ValidationError as error:
        told = "; ".join(
            ": ".join([*(str(step) for step in problem["loc"]), problem["msg"].removeprefix("Value error, ")])
            for problem in error.errors()
        )
        raise ValueError(f"{told}. Write the columns as {EXAMPLE}") from error


def _check_date_format(form: str) -> None:
    sample = datetime(2026, 5, 31, 14, 30, 15, tzinfo=UTC)
    try:
        read = datetime.strptime(sample.strftime(form), form)  # noqa: DTZ007 - only its date is looked at
    except ValueError as error:
        raise ValueError(
            f"the date format {form!r} is not a strptime format: write it as %d/%m/%Y"
        ) from error
    if read.date() != sample.date():
        raise ValueError(f"the date format {form!r} lacks the day, month or year: write it as %d/%m/%Y")
