"""The names in the signatures of the clients, for annotations: `from processmaker.types import AnyProcess`."""

from ._data import OnAlteredData
from ._follow import AnyRequest, AnyTask, Until
from ._processes import AnyEvent, AnyProcess
from ._settings import Token, Verify

__all__ = ["AnyEvent", "AnyProcess", "AnyRequest", "AnyTask", "OnAlteredData", "Token", "Until", "Verify"]
