"""The names in the signatures of the clients, for annotations: `from processmaker.types import AnyProcess`."""

from .config.settings import Token, Verify
from .data import OnAlteredData
from .follow.pmql import AnyStatus, Since
from .follow.reading import AnyRequest, AnyTask, Until
from .many import Key
from .processes import AnyEvent, AnyProcess
from .wire.raw_call import Params

__all__ = [
    "AnyEvent",
    "AnyProcess",
    "AnyRequest",
    "AnyStatus",
    "AnyTask",
    "Key",
    "OnAlteredData",
    "Params",
    "Since",
    "Token",
    "Until",
    "Verify",
]
