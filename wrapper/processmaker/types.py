"""The names in the signatures of the clients, for annotations: `from processmaker.types import AnyProcess`."""

from ._data import OnAlteredData
from ._follow import AnyRequest, AnyTask, Until
from ._many import Key
from ._pmql import AnyStatus, Since
from ._processes import AnyEvent, AnyProcess
from ._raw_call import Params
from ._settings import Token, Verify

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
