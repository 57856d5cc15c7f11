"""Zalo, whole: `account` opens one Official Account; `zns` and `chat` send, `ratings` and `lookups` read, `oauth` cares
for the tokens, `signature` and `events` read webhooks, `examination` says what would not work. Codes are in `codes`."""
