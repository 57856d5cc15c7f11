"""Column types whose values are sealed on the way into the database and opened on the way out.

They find the keyring on the engine's dialect, so that queries need not know. Without one nothing is written.
"""

import json
from collections.abc import Callable
from typing import Any, NoReturn

import sqlalchemy as sa
from sqlalchemy.engine import Dialect
from sqlalchemy.sql import operators

from amends.encryption import KeyProblem
from amends.sealing import Keyring, data_key_of, to_json
from amends.store.types import Json

_ALLOWED = (operators.is_, operators.is_not)


def keyring_of(dialect: Dialect) -> Keyring:
    """The keyring of the engine with that dialect. Raises KeyProblem when it has none."""
    keyring = getattr(dialect, "amends_keyring", None)
    if not isinstance(keyring, Keyring):
        raise KeyProblem("this engine has no keyring, so no personal data is written; open it as a Store")
    return keyring


def give_keyring(dialect: Dialect, keyring: Keyring) -> None:
    """Have every sealed column of the engine with that dialect use `keyring`."""
    dialect.amends_keyring = keyring  # type: ignore[attr-defined]


class _Opaque(sa.TypeDecorator.Comparator[Any]):
    def operate(self, op: Any, *other: Any, **kwargs: Any) -> Any:
        """Equal texts are sealed to different values, so a comparison would find nothing, silently."""
        if op not in _ALLOWED:
            _refuse()
        return super().operate(op, *other, **kwargs)

    def reverse_operate(self, op: Any, other: Any, **kwargs: Any) -> NoReturn:
        _refuse()


def _refuse() -> NoReturn:
    raise TypeError(
        "a sealed column can only be asked whether it is NULL; people are found by inbox.find_customer"
    )


class Sealed(sa.TypeDecorator[str]):
    """Text, sealed for the column `place` (`table.column`)."""

    impl = sa.Text
    cache_ok = True
    comparator_factory = _Opaque

    def __init__(self, place: str) -> None:
        super().__init__()
        self.place = place

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return None if value is None else keyring_of(dialect).seal(self.place, value)

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[str | None], str | None]:
        """One call a value instead of SQLAlchemy's two: every step of every case reads some."""
        place = self.place

        def opened(stored: str | None) -> str | None:
            return None if stored is None else keyring_of(dialect).open(place, stored)

        return opened


class SealedJson(sa.TypeDecorator[Any]):
    """JSON, sealed for the column `place`: in the database a JSON string with the sealed text. None is NULL."""

    impl = Json
    cache_ok = True
    comparator_factory = _Opaque

    def __init__(self, place: str) -> None:
        super().__init__()
        self.place = place

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        return None if value is None else keyring_of(dialect).seal(self.place, to_json(value))

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:
        if not isinstance(value, str) or data_key_of(value) is None:
            return value
        return json.loads(keyring_of(dialect).open(self.place, value))
