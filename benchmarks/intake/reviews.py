"""A file of reviews as a marketplace exports them: customers who come back, phones in several spellings, bad rows."""

import csv
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path

HEADER = (
    "external_id", "rating", "text", "occurred_at", "phone", "customer_name", "order_ref", "branch", "product",
)  # fmt: skip
BAD_EVERY = 200
"""One row in so many has a rating that is none, and ends in quarantine."""
_FIRST = datetime(2026, 9, 1, tzinfo=UTC)
_NETWORKS = ("32", "35", "38", "70", "77", "81", "86", "90", "91", "93", "96", "98")
_TEXTS = (
    "Giao hàng chậm hai ngày, hộp bị móp ở góc, gọi tổng đài không ai nghe máy",
    "Hàng đúng mô tả, đóng gói kỹ, shop trả lời nhanh, sẽ ủng hộ tiếp",
    "Áo mỏng hơn ảnh, đường may lỗi ở vai. Đã nhắn shop mà chưa thấy phản hồi",
    "Tốt",
    "Nhân viên cửa hàng nhiệt tình nhưng phải chờ đổi size gần một tiếng",
)
_NAMES = ("Nguyễn Thị Lan", "Trần Văn Minh", "Lê Thu Thảo", "Phạm Quốc Huy", "Vũ Ngọc Anh", "Đặng Hải Yến")
_BRANCHES = ("Nắng Quận 1", "Nắng Thủ Đức", "Nắng Cầu Giấy", "Nắng Hải Châu")
_PRODUCTS = ("Áo thun cổ tròn", "Quần jean ống đứng", "Giày chạy bộ", "Túi vải canvas")


def phone_of(person: int) -> str:
    """A valid mobile number of that person's own, spelled one of four ways."""
    digits = _NETWORKS[person % len(_NETWORKS)] + f"{person * 7919 % 10_000_000:07d}"
    spellings = (f"0{digits}", f"+84{digits}", f"84{digits}", f"0{digits[:2]} {digits[2:5]} {digits[5:]}")
    return spellings[person % 4]


def write_reviews(path: Path, count: int) -> None:
    """`count` rows as CSV, always the same ones; four of five are from a customer of their own."""
    chance = random.Random(7)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(HEADER)
        for number in range(count):
            person = chance.randrange(number) if number % 5 == 4 else number
            when = _FIRST + timedelta(seconds=number * 2 % 5_000_000)
            writer.writerow(
                (
                    f"R{number:08d}",
                    "sáu" if number % BAD_EVERY == BAD_EVERY - 1 else chance.randint(1, 5),
                    f"{chance.choice(_TEXTS)} #{number}",
                    f"{when:%Y-%m-%d %H:%M:%S}",
                    phone_of(person),
                    f"{_NAMES[person % len(_NAMES)]} {person}",
                    f"DH{number:09d}",
                    chance.choice(_BRANCHES),
                    chance.choice(_PRODUCTS),
                )
            )
