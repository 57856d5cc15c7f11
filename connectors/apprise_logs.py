"""Keeps Apprise's log lines free of secrets: a contact's URL *is* the secret for most chat vendors."""

import logging
import re

from amends.domain.contacts import mask

# Apprise logs below "apprise"; its plugins call requests, whose urllib3 logs the path, with the token in it.
_LOGGERS = ("apprise", "urllib3.connectionpool")
_URL = re.compile(r"\b([a-z][a-z0-9+.\-]*)://\S+", re.IGNORECASE)
_PATH = re.compile(r"(url: )/\S+")


class _Redact(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        # Debug lines hold whole requests: URLs with tokens, payloads with names. There is no masking those.
        if record.levelno < logging.INFO:
            return False
        record.msg = redact(record.getMessage())
        record.args = ()
        # A traceback quotes the URL it failed on; what went wrong is in the line itself.
        record.exc_info = record.exc_text = record.stack_info = None
        return True


_filter = _Redact()


def redact(text: str) -> str:
    """The text without URLs (their scheme stays), phone numbers and addresses."""
    return mask(_PATH.sub(r"\1/***", _URL.sub(r"\1://***", text)))


def keep_secrets_out_of_logs() -> None:
    """Install the filter; calling it again changes nothing."""
    for name in _LOGGERS:
        logging.getLogger(name).addFilter(_filter)
