"""What the *reading* operations of a connector raise. Sends raise nothing: they return an `Outcome`."""

from amends.domain.contacts import mask


class VendorUnavailable(Exception):
    """The vendor's list or page could not be read now; reading it again later is always safe.

    `retry_after_s` is the vendor's own wish in seconds, None when it named none. `code` is the vendor's
    error code, or `http_<status>`, or the kind of transport trouble. The message is free of personal data.
    """

    def __init__(
        self, vendor: str, operation: str, code: str, detail: str = "", *, retry_after_s: float | None = None
    ) -> None:
        self.vendor = vendor
        self.operation = operation
        self.code = code
        self.detail = mask(detail)
        self.retry_after_s = retry_after_s
        super().__init__(vendor, operation, code)

    def __str__(self) -> str:
        text = f"{self.vendor}.{self.operation}: {self.detail or 'no usable answer'} [{self.code}]"
        return text if self.retry_after_s is None else f"{text}, retry after {self.retry_after_s:g} s"


class NeedsHuman(VendorUnavailable):
    """Reading again cannot help until a person acts: credentials, permission, balance, a wrong address."""
