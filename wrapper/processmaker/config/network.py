"""The certificates and the proxy of a client, for what stands above it, such as `processmaker doctor`."""

from __future__ import annotations

from ..wire.proxy import proxy_for
from ..wire.transport import trusted

__all__ = ["proxy_for", "trusted"]
