"""Which server is asked, and how hard; light to import, so that a judge can be named before anything is connected."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from fare_cli.errors import UsageError

#: The variable that holds the server's key. There is no option for it: what is on a command line, others can read.
KEY_VARIABLE = "FARE_API_KEY"


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """A server at `url` (with or without `/v1`), and the name it has for the model; None means the only one it has.

    At most `concurrency` requests are under way at once. A request that takes longer than `timeout_s` has failed, and
    where nothing has succeeded for `patience_s` the run ends. Raises UsageError for an address that cannot be.
    """

    url: str
    model: str | None = None
    concurrency: int = 32
    timeout_s: float = 600.0
    patience_s: float = 300.0

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise UsageError(f"--url {parts.scheme}:... is no address of a server", "such as http://127.0.0.1:8080")
        if "@" in parts.netloc or parts.query or parts.fragment:
            # Not quoted: it may hold the very key that must not be shown.
            raise UsageError(
                "--url holds more than scheme, host, port and path", f"a key goes into the variable {KEY_VARIABLE}"
            )
        if self.concurrency < 1:
            raise UsageError(f"--concurrency {self.concurrency}: at least one request has to be under way")
        if not self.timeout_s > 0:
            raise UsageError(f"--timeout {self.timeout_s}: must be a number of seconds above 0")

    @property
    def root(self) -> str:
        """The address without `/v1`, behind which a server's own paths begin."""
        return self.url.rstrip("/").removesuffix("/v1")
