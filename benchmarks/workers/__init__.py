"""One, two and four processes that sweep the same journey on PostgreSQL at once."""
