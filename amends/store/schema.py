"""The tables. Every due-query is an index range over one of the partial indexes below (DESIGN 4.7).

What tells who somebody is or what they wrote is `Sealed`; ids, references of orders, branches and products are not,
because other rows and systems are joined by them.
"""

from typing import Any

import sqlalchemy as sa

from amends.store.sealed import Sealed, SealedJson
from amends.store.types import Id, Json, UtcDateTime

metadata = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _when(name: str, *, required: bool = False) -> sa.Column[Any]:
    return sa.Column(name, UtcDateTime, nullable=not required)


def _id() -> sa.Column[Any]:
    return sa.Column("id", Id, primary_key=True)


journey_versions = sa.Table(
    "journey_versions",
    metadata,
    _id(),
    sa.Column("journey", sa.String(40), nullable=False),
    sa.Column("version", sa.String(16), nullable=False),
    sa.Column("config", Json, nullable=False),
    _when("created_at", required=True),
    sa.UniqueConstraint("journey", "version"),
)

customers = sa.Table(
    "customers",
    metadata,
    _id(),
    # Keyed hash of the phone, else mail address, else the source's own reference: what two ratings must share to be
    # one person's.
    sa.Column("key", sa.String(300), nullable=False, unique=True),
    sa.Column("name", Sealed("customers.name")),
    sa.Column("phone", Sealed("customers.phone")),
    sa.Column("email", Sealed("customers.email")),
    sa.Column("zalo_uid", sa.String(64)),
    sa.Column("language", sa.String(8)),
    _when("opted_out_at"),
    # When they asked to be forgotten, or were by retention: the row stays for what hangs on it, without the person.
    _when("forgotten_at"),
    # What `key` is the hash of, where that is neither the phone nor the mail address.
    sa.Column("reference", Sealed("customers.reference")),
)
sa.Index(
    "ix_customers_zalo_uid",
    customers.c.zalo_uid,
    postgresql_where=customers.c.zalo_uid.is_not(None),
    sqlite_where=customers.c.zalo_uid.is_not(None),
)

zalo_users = sa.Table(
    "zalo_users",
    metadata,
    _id(),
    sa.Column("account", sa.String(40), nullable=False),
    sa.Column("uid", sa.String(64), nullable=False),
    sa.Column("customer_id", Id, sa.ForeignKey("customers.id")),
    _when("last_interaction_at"),
    _when("left_at"),
    sa.UniqueConstraint("account", "uid"),
)
sa.Index(
    "ix_zalo_users_customer_id",
    zalo_users.c.customer_id,
    postgresql_where=zalo_users.c.customer_id.is_not(None),
    sqlite_where=zalo_users.c.customer_id.is_not(None),
)
# An import that brings a user id we have met looks for it by that alone.
sa.Index("ix_zalo_users_uid", zalo_users.c.uid)

feedbacks = sa.Table(
    "feedbacks",
    metadata,
    _id(),
    sa.Column("journey", sa.String(40), nullable=False),
    sa.Column("source", sa.String(80), nullable=False),
    sa.Column("external_id", sa.String(200), nullable=False),
    sa.Column("customer_id", Id, sa.ForeignKey("customers.id"), nullable=False),
    _when("received_at", required=True),
    _when("occurred_at", required=True),
    sa.Column("scale", sa.String(20), nullable=False),
    sa.Column("rating", sa.Float),
    sa.Column("text", Sealed("feedbacks.text"), nullable=False),
    sa.Column("order_ref", sa.String(100)),
    sa.Column("branch", sa.String(200)),
    sa.Column("product", sa.String(500)),
    sa.Column("raw", SealedJson("feedbacks.raw"), nullable=False),
    # The routing slip: the only part that is written later, once.
    sa.Column("verdict", sa.String(20)),
    sa.Column("reason", sa.String(300)),
    sa.Column("case_id", Id, sa.ForeignKey("cases.id")),
    _when("routed_at"),
    sa.UniqueConstraint("source", "external_id"),
)
sa.Index(
    "ix_feedbacks_unrouted",
    feedbacks.c.journey,
    feedbacks.c.id,
    postgresql_where=feedbacks.c.verdict.is_(None),
    sqlite_where=feedbacks.c.verdict.is_(None),
)
sa.Index(
    "ix_feedbacks_case_id",
    feedbacks.c.case_id,
    postgresql_where=feedbacks.c.case_id.is_not(None),
    sqlite_where=feedbacks.c.case_id.is_not(None),
)

# Erasure, access and retention ask for everything of a person.
sa.Index("ix_feedbacks_customer_id", feedbacks.c.customer_id)

quarantine = sa.Table(
    "quarantine",
    metadata,
    _id(),
    sa.Column("journey", sa.String(40), nullable=False),
    sa.Column("source", sa.String(80), nullable=False),
    sa.Column("fingerprint", sa.String(64), nullable=False),
    sa.Column("location", sa.String(500), nullable=False),
    sa.Column("problems", SealedJson("quarantine.problems"), nullable=False),
    sa.Column("raw", SealedJson("quarantine.raw"), nullable=False),
    _when("received_at", required=True),
    # What an operator made of it: open, requeued or dropped; by whom, when and why.
    sa.Column("state", sa.String(10), nullable=False, server_default="open"),
    _when("settled_at"),
    sa.Column("settled_by", sa.String(60)),
    sa.Column("note", sa.String(300), nullable=False, server_default=""),
    sa.UniqueConstraint("source", "fingerprint"),
)
sa.Index(
    "ix_quarantine_open",
    quarantine.c.journey,
    quarantine.c.id,
    postgresql_where=quarantine.c.state == "open",
    sqlite_where=quarantine.c.state == "open",
)

cases = sa.Table(
    "cases",
    metadata,
    _id(),
    sa.Column("journey", sa.String(40), nullable=False),
    sa.Column("version_id", Id, sa.ForeignKey("journey_versions.id"), nullable=False),
    sa.Column("customer_id", Id, sa.ForeignKey("customers.id"), nullable=False),
    _when("opened_at", required=True),
    _when("last_feedback_at", required=True),
    sa.Column("order_ref", sa.String(100)),
    sa.Column("branch", sa.String(200)),
    sa.Column("product", sa.String(500)),
    sa.Column("stars", sa.SmallInteger, nullable=False),
    sa.Column("severity", sa.String(10), nullable=False),
    sa.Column("outcome", sa.String(20)),
    sa.Column("outcome_reason", sa.String(300), nullable=False, server_default=""),
    _when("closed_at"),
)
sa.Index("ix_cases_customer_id", cases.c.customer_id, cases.c.id)
sa.Index(
    "ix_cases_open",
    cases.c.journey,
    cases.c.id,
    postgresql_where=cases.c.closed_at.is_(None),
    sqlite_where=cases.c.closed_at.is_(None),
)

tickets = sa.Table(
    "tickets",
    metadata,
    _id(),
    sa.Column("case_id", Id, sa.ForeignKey("cases.id"), nullable=False, unique=True),
    sa.Column("state", sa.String(10), nullable=False),
    sa.Column("severity", sa.String(10), nullable=False),
    sa.Column("assignee", sa.String(40)),
    sa.Column("cycle", sa.SmallInteger, nullable=False),
    sa.Column("summary", Sealed("tickets.summary"), nullable=False),
    sa.Column("root_cause", sa.String(200)),
    _when("opened_at", required=True),
    _when("first_response_at"),
    _when("solved_at"),
)
sa.Index(
    "ix_tickets_unsolved",
    tickets.c.assignee,
    tickets.c.id,
    postgresql_where=tickets.c.state != "solved",
    sqlite_where=tickets.c.state != "solved",
)

sla_clocks = sa.Table(
    "sla_clocks",
    metadata,
    _id(),
    sa.Column("case_id", Id, sa.ForeignKey("cases.id"), nullable=False),
    sa.Column("kind", sa.String(20), nullable=False),
    sa.Column("cycle", sa.SmallInteger, nullable=False),
    sa.Column("severity", sa.String(10), nullable=False),
    _when("started_at", required=True),
    _when("warn_at", required=True),
    _when("due_at", required=True),
    _when("met_at"),
    sa.UniqueConstraint("case_id", "kind", "cycle"),
)

agenda = sa.Table(
    "agenda",
    metadata,
    _id(),
    sa.Column("case_id", Id, sa.ForeignKey("cases.id"), nullable=False),
    sa.Column("journey", sa.String(40), nullable=False),
    sa.Column("step", sa.String(20), nullable=False),
    sa.Column("ordinal", sa.Integer, nullable=False),
    # NULL once the step is over: then the row is out of the due index and costs nothing.
    _when("due_at"),
    sa.Column("lease_owner", sa.String(36)),
    _when("lease_until"),
    sa.Column("result", sa.String(20)),
    sa.UniqueConstraint("case_id", "step", "ordinal"),
)
sa.Index(
    "ix_agenda_due",
    agenda.c.journey,
    agenda.c.step,
    agenda.c.due_at,
    agenda.c.id,
    postgresql_where=agenda.c.due_at.is_not(None),
    sqlite_where=agenda.c.due_at.is_not(None),
)

effects = sa.Table(
    "effects",
    metadata,
    _id(),
    sa.Column("case_id", Id, sa.ForeignKey("cases.id"), nullable=False),
    sa.Column("customer_id", Id, sa.ForeignKey("customers.id")),
    sa.Column("journey", sa.String(40), nullable=False),
    sa.Column("step", sa.String(20), nullable=False),
    sa.Column("channel", sa.String(20), nullable=False),
    sa.Column("ordinal", sa.Integer, nullable=False),
    sa.Column("key", sa.String(36), nullable=False, unique=True),
    sa.Column("policy", sa.String(20), nullable=False),
    sa.Column("state", sa.String(20), nullable=False),
    sa.Column("attempts", sa.SmallInteger, nullable=False),
    sa.Column("owner", sa.String(36)),
    sa.Column("template_id", sa.String(40)),
    sa.Column("provider_id", sa.String(100)),
    sa.Column("outcome_class", sa.String(20)),
    sa.Column("code", sa.String(40)),
    sa.Column("detail", sa.String(500), nullable=False, server_default=""),
    sa.Column("cost_vnd", sa.Integer, nullable=False, server_default="0"),
    _when("created_at", required=True),
    _when("sent_at"),
    _when("lease_until"),
    _when("settled_at"),
    _when("next_attempt_at"),
    sa.UniqueConstraint("case_id", "step", "channel", "ordinal"),
)
sa.Index("ix_effects_provider_id", effects.c.provider_id)
sa.Index(
    "ix_effects_customer_id_settled_at",
    effects.c.customer_id,
    effects.c.settled_at,
    postgresql_where=sa.and_(effects.c.customer_id.is_not(None), effects.c.state == "accepted"),
    sqlite_where=sa.and_(effects.c.customer_id.is_not(None), effects.c.state == "accepted"),
)
sa.Index(
    "ix_effects_open",
    effects.c.state,
    effects.c.id,
    postgresql_where=effects.c.state.in_(["sending", "uncertain", "waiting"]),
    sqlite_where=effects.c.state.in_(["sending", "uncertain", "waiting"]),
)

timeline = sa.Table(
    "timeline",
    metadata,
    _id(),
    sa.Column("case_id", Id, sa.ForeignKey("cases.id"), nullable=False),
    _when("at", required=True),
    sa.Column("event", sa.String(60), nullable=False),
    sa.Column("actor", sa.String(60), nullable=False),
    sa.Column("detail", sa.String(500), nullable=False, server_default=""),
)
sa.Index("ix_timeline_case_id", timeline.c.case_id, timeline.c.id)

surveys = sa.Table(
    "surveys",
    metadata,
    _id(),
    sa.Column("case_id", Id, sa.ForeignKey("cases.id"), nullable=False),
    sa.Column("cycle", sa.SmallInteger, nullable=False),
    _when("asked_at"),
    _when("answered_at"),
    sa.Column("rate", sa.SmallInteger),
    sa.Column("scale", sa.String(20)),
    sa.Column("satisfied", sa.Boolean),
    sa.Column("skipped", sa.String(20)),
    sa.Column("reason", sa.String(300), nullable=False, server_default=""),
    sa.Column("note", Sealed("surveys.note"), nullable=False, server_default=""),
    sa.UniqueConstraint("case_id", "cycle"),
)

budgets = sa.Table(
    "budgets",
    metadata,
    sa.Column("journey", sa.String(40), primary_key=True),
    sa.Column("spent_count", sa.Integer, nullable=False),
    sa.Column("spent_vnd", sa.BigInteger, nullable=False),
)

vouchers = sa.Table(
    "vouchers",
    metadata,
    _id(),
    sa.Column("journey", sa.String(40), nullable=False),
    sa.Column("code", sa.String(40), nullable=False),
    # One voucher per case, for ever; NULL while a pooled code waits in its pool.
    sa.Column("case_id", Id, sa.ForeignKey("cases.id"), unique=True),
    sa.Column("value_vnd", sa.Integer),
    sa.Column("state", sa.String(12), nullable=False),
    _when("reserved_at"),
    _when("expires_at"),
    sa.UniqueConstraint("journey", "code"),
)
sa.Index(
    "ix_vouchers_free",
    vouchers.c.journey,
    vouchers.c.id,
    postgresql_where=vouchers.c.state == "free",
    sqlite_where=vouchers.c.state == "free",
)

cursors = sa.Table(
    "cursors",
    metadata,
    sa.Column("name", sa.String(300), primary_key=True),
    sa.Column("value", sa.String(300), nullable=False),
)

incidents = sa.Table(
    "incidents",
    metadata,
    _id(),
    # What has stopped: a channel (`zns`), or one template or contact of it (`zns:310001`, `notify:lan`).
    sa.Column("stopped", sa.String(80), nullable=False),
    sa.Column("code", sa.String(40), nullable=False),
    sa.Column("detail", sa.String(500), nullable=False),
    sa.Column("times", sa.Integer, nullable=False),
    _when("opened_at", required=True),
    _when("last_seen_at", required=True),
    _when("resolved_at"),
)
# One open incident per channel and code, however many messages it stops.
sa.Index(
    "uq_incidents_open",
    incidents.c.stopped,
    incidents.c.code,
    unique=True,
    postgresql_where=incidents.c.resolved_at.is_(None),
    sqlite_where=incidents.c.resolved_at.is_(None),
)

# Circuit breakers: one row per channel that has ever had trouble. While `retry_at` lies ahead nobody calls it.
breakers = sa.Table(
    "breakers",
    metadata,
    sa.Column("name", sa.String(80), primary_key=True),
    sa.Column("failures", sa.Integer, nullable=False),
    # How often it has opened in a row: each time it rests longer.
    sa.Column("openings", sa.Integer, nullable=False),
    # Calls that may be open at once while it is being tried again; NULL: as many as the settings allow.
    sa.Column("allowance", sa.Integer),
    _when("retry_at"),
    # The sweep that is trying it, until its lease ends.
    sa.Column("lease_owner", sa.String(36)),
    _when("lease_until"),
)

# What operators did by hand: who, what, to what and why. Append-only, without personal data.
operator_log = sa.Table(
    "operator_log",
    metadata,
    _id(),
    _when("at", required=True),
    sa.Column("actor", sa.String(60), nullable=False),
    sa.Column("action", sa.String(40), nullable=False),
    sa.Column("subject", sa.String(120), nullable=False),
    sa.Column("detail", sa.String(500), nullable=False, server_default=""),
)
sa.Index("ix_operator_log_subject", operator_log.c.subject, operator_log.c.id)

# Data keys, numbered by `id`, and the one index key, each sealed by the installation's own keys. Rows are never
# deleted: a backup, or a process that has not noticed yet, may need an old data key.
keyring = sa.Table(
    "keyring",
    metadata,
    _id(),
    sa.Column("purpose", sa.String(10), nullable=False),
    sa.Column("wrapped", sa.Text, nullable=False),
)

credentials = sa.Table(
    "credentials",
    metadata,
    sa.Column("account", sa.String(100), primary_key=True),
    sa.Column("access_token", sa.Text),
    sa.Column("refresh_token", sa.Text),
    _when("expires_at"),
    sa.Column("lease_owner", sa.String(36)),
    _when("lease_until"),
)

webhook_events = sa.Table(
    "webhook_events",
    metadata,
    _id(),
    sa.Column("door", sa.String(120), nullable=False),
    sa.Column("key", sa.String(200), nullable=False),
    sa.Column("name", sa.String(80), nullable=False),
    _when("received_at", required=True),
    _when("occurred_at", required=True),
    sa.Column("payload", SealedJson("webhook_events.payload")),
    sa.Column("state", sa.String(12), nullable=False),
    sa.Column("note", sa.String(300), nullable=False, server_default=""),
    sa.UniqueConstraint("door", "key"),
)
sa.Index(
    "ix_webhook_events_waiting",
    webhook_events.c.door,
    webhook_events.c.id,
    postgresql_where=webhook_events.c.state == "waiting",
    sqlite_where=webhook_events.c.state == "waiting",
)

intake_counts = sa.Table(
    "intake_counts",
    metadata,
    sa.Column("day", sa.Date, primary_key=True),
    sa.Column("door", sa.String(120), primary_key=True),
    sa.Column("outcome", sa.String(20), primary_key=True),
    sa.Column("requests", sa.BigInteger, nullable=False),
)
