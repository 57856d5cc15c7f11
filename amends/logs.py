"""How much a process logs: warnings and worse, on stderr, unless AMENDS_LOG says otherwise."""

import logging
import os
import sys

import structlog


def set_up_logs(default: str = "warning") -> None:
    """Send structlog's events to stderr from level AMENDS_LOG (debug, info, warning, error) upwards."""
    name = os.environ.get("AMENDS_LOG", default).upper()
    level = logging.getLevelNamesMapping().get(name, logging.WARNING)
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
