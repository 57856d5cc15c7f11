"""The state of every journey: rows in one database. Functions take the open transaction; nothing else holds one."""
