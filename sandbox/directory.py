"""Who the Official Account can know: people by phone, by the phone's hash and by user id, and how they stand to it.

A user id or a hash leads to a phone only for phones that the sandbox has met: the magic numbers, the receivers of
messages, and those a control introduced. People whose phone nobody knows may write to the account all the same.
"""

from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256

from sandbox import people
from sandbox.magic import MAGIC


@dataclass(slots=True)
class Standing:
    """One person's relation to the account. `follows` None: never followed, which does not forbid chat."""

    follows: bool | None = None
    last_interaction: datetime | None = None
    shared_name: str = ""
    shared_phone: str = ""


@dataclass(slots=True)
class Directory:
    """Phones in order of meeting; the indexes are brought up to date when somebody asks, not on every send."""

    seed: int
    _phones: dict[str, None] = field(default_factory=lambda: dict.fromkeys(MAGIC))
    _unindexed: list[str] = field(default_factory=lambda: list(MAGIC))
    _by_uid: dict[str, str] = field(default_factory=dict)
    _by_hash: dict[str, str] = field(default_factory=dict)
    _standings: dict[str, Standing] = field(default_factory=dict)

    def introduce(self, phone: str) -> None:
        """Remember a phone, 84 and nine digits."""
        if phone not in self._phones:
            self._phones[phone] = None
            self._unindexed.append(phone)

    def phone_of(self, uid: str) -> str | None:
        self._index()
        return self._by_uid.get(uid)

    def phone_behind(self, hashed: str) -> str | None:
        """By the lower-case hex SHA-256 of the phone."""
        self._index()
        return self._by_hash.get(hashed)

    def knows(self, uid: str) -> bool:
        """True for people with a Zalo account whose phone was met, and for everyone who ever turned up."""
        if uid in self._standings:
            return True
        phone = self.phone_of(uid)
        return phone is not None and _fate(self.seed, phone) not in (-118, -110)

    @property
    def followers(self) -> int:
        return sum(standing.follows is True for standing in self._standings.values())

    def standing(self, uid: str) -> Standing:
        """How this person stands to the account; a new acquaintance has done nothing yet."""
        return self._standings.get(uid) or Standing()

    def touched(self, uid: str, now: datetime, follows: bool | None = None) -> Standing:
        """Note that the person wrote, tapped or followed, which opens the window for chat."""
        standing = self._standings.setdefault(uid, Standing())
        standing.last_interaction = now
        if follows is not None:
            standing.follows = follows
        return standing

    def left(self, uid: str) -> None:
        """Note that the person unfollowed; that is no interaction."""
        self._standings.setdefault(uid, Standing()).follows = False

    def _index(self) -> None:
        for phone in self._unindexed:
            self._by_uid[people.uid_of(self.seed, phone)] = phone
            self._by_hash[hash_of(phone)] = phone
        self._unindexed.clear()


def hash_of(phone: str) -> str:
    """How Zalo wants a phone hashed: SHA-256 of 84..., lower-case hex, no salt."""
    return sha256(phone.encode()).hexdigest()


def _fate(seed: int, phone: str) -> int | None:
    """Zalo's code for everything that is sent to this phone, or None."""
    magic = MAGIC.get(phone)
    return people.unreachable_code(seed, phone) if magic is None else magic.code
