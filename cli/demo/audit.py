"""The audit: the vendor's book of requests against our inbox. It never looks at our own ledger."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from amends.store.reports import CaseContact


@dataclass(frozen=True, slots=True)
class Audit:
    """What the vendor saw. `duplicates` and `lost` list case codes; both must be empty."""

    requests: int
    duplicates: tuple[str, ...]
    lost: tuple[str, ...]


def audit(
    book: Sequence[Mapping[str, Any]],
    contacts: Sequence[CaseContact],
    *,
    max_reopens: int,
    unsure: Collection[str] = (),
    staff_may_hear_twice: bool = False,
) -> Audit:
    """Hold the book against the cases that the inbox's low ratings make.

    Each case with a phone must have had exactly one apology accepted, or been refused as unreachable; each case must
    have reached an agent. Surveys: at most the survey and one reminder per cycle. Vouchers: at most one.
    `unsure` are the codes of cases whose apology's fate nobody knows, which an operator settles. After a crash,
    staff may hear the same thing twice: better than never.
    """
    phone_of = {f"AM{contact.case_id:06d}": contact.phone for contact in contacts}
    accepted: Counter[tuple[str, str]] = Counter()
    refused: Counter[str] = Counter()
    tracked: Counter[str] = Counter()
    notices: Counter[tuple[str, str]] = Counter()
    told: set[str] = set()
    duplicates: list[str] = []
    for entry in book:
        if entry["kind"] == "agent_notification":
            code = entry["title"].partition("]")[0].removeprefix("[")
            told.add(code)
            notices[entry["contact"], entry["title"]] += 1
            continue
        code = entry["params"].get("case_code", "?")
        if entry["kind"] == "zns":
            accepted[code, entry["template_type"]] += 1
            tracked[entry["tracking_id"]] += 1
            if phone_of.get(code) != entry["phone"]:
                duplicates.append(f"{code}: sent to somebody else")
        elif entry["template_type"] == "custom":
            refused[code] += 1
    most = {"custom": 1, "rating": 2 * (1 + max_reopens), "voucher": 1}
    duplicates += [
        f"{code}: {kind} {times}x" for (code, kind), times in accepted.items() if times > most[kind]
    ]
    duplicates += [f"tracking id {id_} {times}x" for id_, times in tracked.items() if times > 1]
    if not staff_may_hear_twice:
        duplicates += [f"{title} to {who} {times}x" for (who, title), times in notices.items() if times > 1]
    lost = [f"{code}: no agent was told" for code in phone_of if code not in told]
    lost += [
        f"{code}: no apology"
        for code, phone in phone_of.items()
        if phone and not accepted[code, "custom"] and not refused[code] and code not in unsure
    ]
    return Audit(len(book), tuple(duplicates), tuple(lost))
