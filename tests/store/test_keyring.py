"""The keyring in the database: made once, opened by our keys alone, changed without losing a value."""

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import StatementError

from amends.encryption import Cipher, KeyProblem, new_key
from amends.store import credentials, inbox, keyring
from amends.store.credentials import Credentials
from amends.store.engine import Store, Tx
from amends.store.resealing import SEALED
from amends.store.schema import customers, feedbacks
from amends.store.schema import keyring as table
from amends.store.sealed import Sealed, SealedJson
from tests.conftest import CIPHER, KEY
from tests.domain.examples import NINE
from tests.store.rows import add_customer, at_once, count, feedback

PHONE = "84912345678"
OTHER = new_key()


def opened(url: str, *keys: str) -> Store:
    store = Store(url, Cipher(keys or [KEY]))
    store.migrate()
    return store


def phones(store: Store) -> list[str | None]:
    with store.read() as tx:
        return list(tx.execute(sa.select(customers.c.phone).order_by(customers.c.id)).scalars())


def stored(tx: Tx, column: sa.Column[str]) -> list[str]:
    """The column as it is in the database."""
    return list(tx.execute(sa.select(sa.type_coerce(column, sa.Text))).scalars())


def test_stores_that_open_at_once_make_one_keyring_and_read_each_other(empty_url: str) -> None:
    def start() -> str:
        store = opened(empty_url)
        with store.begin() as tx:
            add_customer(tx, phone=PHONE)
        made = store.keyring.hash("tel")
        store.close()
        return made

    hashes = at_once([start] * 4)
    assert len(set(hashes)) == 1
    store = opened(empty_url)
    assert phones(store) == [PHONE] * 4
    with store.read() as tx:
        assert (
            count(tx, table, table.c.purpose == "index") == count(tx, table, table.c.purpose == "data") == 1
        )
    store.close()


def test_a_wrong_key_is_told_when_the_store_is_opened(database_url: str) -> None:
    opened(database_url).close()
    with pytest.raises(KeyProblem, match=r"no key of AMENDS_ENCRYPTION_KEYS.* opens this database") as caught:
        opened(database_url, OTHER)
    assert KEY not in str(caught.value)
    assert OTHER not in str(caught.value)
    opened(database_url, OTHER, KEY).close()


def test_a_keyring_that_was_emptied_is_not_made_anew(database_url: str) -> None:
    """What was sealed under the old one would be lost behind the back of whoever could bring it back."""
    store = opened(database_url)
    with store.begin() as tx:
        tx.execute(table.delete())
    with pytest.raises(KeyProblem, match="restore the database from a backup"):
        store.migrate()
    store.close()


def test_after_a_rewrap_the_old_key_can_go(database_url: str) -> None:
    store = opened(database_url)
    tokens = Credentials(CIPHER.seal("access"), CIPHER.seal("refresh"), NINE)
    with store.begin() as tx:
        add_customer(tx, phone=PHONE)
        credentials.save(tx, "zalo:app-1", tokens)
        credentials.save(tx, "zalo:old", Credentials("access", "refresh", NINE))
        stranger = Cipher([new_key()])
        credentials.save(tx, "zalo:lost", Credentials(stranger.seal("a"), stranger.seal("r"), NINE))
    store.close()
    store = opened(database_url, OTHER, KEY)
    with store.begin() as tx:
        assert keyring.rewrap(tx, Cipher([OTHER, KEY])) == 2
        assert credentials.reseal(tx, Cipher([OTHER, KEY])) == ["zalo:lost"]
    store.close()
    store = opened(database_url, OTHER)
    assert phones(store) == [PHONE]
    with store.begin() as tx:
        assert inbox.find_customer(tx, PHONE) is None
        inbox.receive(tx, "complaint", [feedback(phone=PHONE)], NINE)
        assert inbox.find_customer(tx, "0912 345 678") is not None
        for account in ("zalo:app-1", "zalo:old"):
            found = credentials.load(tx, account)
            assert found is not None
            assert Cipher([OTHER]).open(found.refresh_token) == "refresh"
    store.close()


def test_a_store_that_is_open_reads_what_is_sealed_under_a_newer_data_key(database_url: str) -> None:
    first, second = opened(database_url), opened(database_url)
    with first.begin() as tx:
        add_customer(tx, phone=PHONE)
        renewed = keyring.renew(tx, CIPHER)
    first.keyring.fetch_again()
    with first.begin() as tx:
        add_customer(tx, phone="84987654321")
    assert phones(second) == phones(first) == [PHONE, "84987654321"]
    with second.begin() as tx:
        add_customer(tx, phone="84900000001")
        assert stored(tx, customers.c.phone)[-1].startswith(f"sealed1:{renewed}:")
    first.close()
    second.close()


def test_every_sealed_column_is_sealed_for_its_own_place() -> None:
    places = {
        f"{table.name}.{column.name}": column.type.place
        for table, columns in SEALED.items()
        for column in columns
        if isinstance(column.type, Sealed | SealedJson)
    }
    assert places == {place: place for place in places}
    assert {"customers.phone", "customers.name", "customers.email", "feedbacks.raw", "quarantine.raw"} <= set(
        places
    )


def test_an_engine_without_a_keyring_writes_nothing(database_url: str) -> None:
    store = opened(database_url)
    engine = sa.create_engine(store.engine.url)
    with engine.connect() as tx:
        with pytest.raises(StatementError, match="this engine has no keyring"):
            tx.execute(customers.insert().values(key="x", phone=PHONE))
        with pytest.raises(StatementError, match="this engine has no keyring"):
            tx.execute(feedbacks.update().values(raw={"phone": PHONE}))
    engine.dispose()
    store.close()


def test_a_store_whose_keys_do_not_fit_writes_nothing(database_url: str) -> None:
    opened(database_url).close()
    store = Store(database_url, Cipher([OTHER]))
    with pytest.raises(StatementError, match="AMENDS_ENCRYPTION_KEYS"), store.begin() as tx:
        tx.execute(customers.insert().values(key="x", phone=PHONE))
    store.close()


def test_sealed_columns_cannot_be_compared(store: Store) -> None:
    """Equal texts are sealed differently: such a query would find nobody, and say nothing."""
    for compare in (
        lambda: customers.c.phone == PHONE,
        lambda: customers.c.phone == PHONE,
        lambda: customers.c.phone.in_([PHONE]),
        lambda: customers.c.name.like("L%"),
        lambda: feedbacks.c.raw["phone"],
        lambda: customers.c.name.desc(),
    ):
        with pytest.raises(TypeError, match=r"inbox\.find_customer"):
            compare()
    with store.begin() as tx:
        add_customer(tx, phone=None)
        assert count(tx, customers, customers.c.phone.is_(None)) == 1


def test_a_value_moved_to_another_column_is_noticed(store: Store) -> None:
    with store.begin() as tx:
        add_customer(tx, phone=PHONE, name="Lan")
        tx.execute(sa.text("UPDATE customers SET name = phone"))
    with store.read() as tx, pytest.raises(KeyProblem, match=r"customers\.name does not open"):
        tx.execute(sa.select(customers.c.name)).all()


@pytest.mark.parametrize("contact", ["0912", "nobody@", "lan"])
def test_what_is_no_contact_is_refused_without_being_quoted(store: Store, contact: str) -> None:
    with store.read() as tx, pytest.raises(ValueError, match="write") as caught:
        inbox.find_customer(tx, contact)
    assert contact not in str(caught.value).replace("0912345678", "")
