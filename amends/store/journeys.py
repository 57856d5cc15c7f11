"""Journey versions: what a case entered with is what it stays on (DESIGN 4.11)."""

from datetime import datetime
from threading import Lock

import sqlalchemy as sa
from cachetools import LRUCache

from amends.domain.journey import ComplaintJourney, version_of
from amends.store.engine import Tx
from amends.store.schema import journey_versions
from amends.store.sql import upsert

_known: LRUCache[str, ComplaintJourney] = LRUCache(maxsize=256)
"""By version, which is a hash of the content, so of any database. Checking a journey anew takes some 50 ms."""
_knowing = Lock()


def register(tx: Tx, journey: ComplaintJourney, now: datetime) -> int:
    """The id of this exact version of the journey, stored now if it is new."""
    version = version_of(journey)
    config = journey.model_dump(mode="json")
    statement = upsert(tx, journey_versions).values(
        journey=journey.name, version=version, config=config, created_at=now
    )
    tx.execute(statement.on_conflict_do_nothing())
    return int(
        tx.execute(
            sa.select(journey_versions.c.id).where(
                journey_versions.c.journey == journey.name, journey_versions.c.version == version
            )
        ).scalar_one()
    )


def load(tx: Tx, version_id: int) -> ComplaintJourney:
    """The journey as it was in that version."""
    of_id = journey_versions.c.id == version_id
    version: str = tx.execute(sa.select(journey_versions.c.version).where(of_id)).scalar_one()
    with _knowing:
        journey = _known.get(version)
    if journey is None:
        config = tx.execute(sa.select(journey_versions.c.config).where(of_id)).scalar_one()
        journey = ComplaintJourney.model_validate(config)
        with _knowing:
            _known[version] = journey
    return journey


def recent(tx: Tx, journey: str, since: datetime, limit: int = 20) -> list[int]:
    """Ids of the newest versions that may still have surveys out: those made since then, and the one before."""
    query = (
        sa.select(journey_versions.c.id, journey_versions.c.created_at)
        .where(journey_versions.c.journey == journey)
        .order_by(journey_versions.c.id.desc())
        .limit(limit)
    )
    found: list[int] = []
    for row in tx.execute(query):
        found.append(row.id)
        if row.created_at < since:
            break
    return found
