"""Words of the simulated people, all written for this project: names, rating notes, causes of complaints."""

FAMILY_NAMES = (
    *["Nguyễn"] * 8, *["Trần"] * 3, *["Lê"] * 3, *["Phạm"] * 2, *["Huỳnh"] * 2, *["Hoàng"] * 2,
    "Phan", "Vũ", "Võ", "Đặng", "Bùi", "Đỗ", "Hồ", "Ngô", "Dương", "Lý", "Đinh", "Trịnh", "Mai", "Tạ",
)  # fmt: skip
WOMEN = (
    "Lan", "Hương", "Thảo", "Linh", "Trang", "Hà", "Ngọc", "Mai", "Phương", "Yến", "Hạnh", "Thu", "Vy",
    "Quỳnh", "Nhung", "Bích", "Diễm", "Oanh", "Tuyết", "Ngân",
)  # fmt: skip
WOMEN_MIDDLE = ("Thị", "Thị", "Thị Thanh", "Ngọc", "Thu", "Khánh", "Mỹ", "Thuỳ")
MEN = (
    "Hùng", "Dũng", "Minh", "Tuấn", "Nam", "Hải", "Long", "Khoa", "Phúc", "Quang", "Sơn", "Thắng", "Trung",
    "Việt", "Đức", "Bảo", "Cường", "Hiếu", "Khánh", "Tâm",
)  # fmt: skip
MEN_MIDDLE = ("Văn", "Văn", "Quốc", "Minh", "Hữu", "Đình", "Gia", "Thanh")

HAPPY_NOTES = (
    "Xử lý nhanh, cảm ơn shop.",
    "Nhân viên gọi lại rất lịch sự.",
    "Đã nhận được hàng đổi, ok.",
    "Hài lòng với cách giải quyết.",
    "Cảm ơn đã hỗ trợ tận tình.",
    "Lần này ổn rồi nha.",
)
UNHAPPY_NOTES = (
    "Chờ lâu quá, ba ngày mới có người gọi.",
    "Vẫn chưa hoàn tiền cho tôi.",
    "Nói sẽ đổi hàng mà chưa thấy đâu.",
    "Trả lời qua loa, không giải quyết được gì.",
    "Hàng đổi lại vẫn bị lỗi.",
)
HAPPY_TAPS = ("Nhân viên vui vẻ", "Giải quyết nhanh", "Đền bù thoả đáng")
UNHAPPY_TAPS = ("Phản hồi chậm", "Chưa giải quyết xong", "Thái độ chưa tốt")

ROOT_CAUSES = (
    *["late_delivery"] * 5, *["damaged_goods"] * 4, *["product_quality"] * 4, *["wrong_item"] * 3,
    *["staff_attitude"] * 2, "billing_error", "app_fault",
)  # fmt: skip
