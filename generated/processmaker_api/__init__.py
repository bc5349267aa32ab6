"""The raw ProcessMaker API: one module per operation, and the models they send and receive.

Made from openapi/processmaker.yaml by openapi/generate.py; not edited by hand. Applications will rather import
`processmaker`, which adds signing in, retries and clear errors.
"""

from .client import AuthenticatedClient, Client

__all__ = (
    "AuthenticatedClient",
    "Client",
)
