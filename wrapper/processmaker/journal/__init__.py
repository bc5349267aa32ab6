"""Journals of starts: what callers share so that a key is started once, also by many of them at the same moment.

    pm = ProcessMaker(url, token=…, journal=SQLiteJournal("starts.db"))            # the processes of one machine
    pm = ProcessMaker(url, token=…, journal=RedisJournal.from_url("redis://…"))    # many machines

The server has no lock. So before a start is sent the journal says durably, in one atomic step, that its key is being
sent, since when and by whom; afterwards it says as which Request it was started, or, where it certainly was not
processed, nothing any more. What is not known stays "being sent".

A journal on another database is a class with the methods of `Journal` or `AsyncJournal`;
`processmaker.journal.contract` holds the tests that it has to pass.
"""

from .protocol import DEFAULT_LEASE, AsyncJournal, Entry, Journal, KeyedStart
from .redis import Persistence, RedisJournal
from .sqlite import SQLiteJournal

__all__ = [
    "DEFAULT_LEASE",
    "AsyncJournal",
    "Entry",
    "Journal",
    "KeyedStart",
    "Persistence",
    "RedisJournal",
    "SQLiteJournal",
]
