"""Journals of starts: what callers share so that a key is started once, also by many of them at the same moment.

    pm = ProcessMaker(url, token=…)                                                # the threads of one process
    pm = ProcessMaker(url, token=…, journal=SQLiteJournal("starts.db"))            # the processes of one machine
    pm = ProcessMaker(url, token=…, journal=RedisJournal.from_url("redis://…"))    # many machines

The server has no lock. So each start with a key reserves the key in a journal, records there that it is being sent
right before the first byte leaves, and afterwards records its Request. If it certainly was not processed, it
releases the key. If that is not known, it says so, and the key is free again when the lease is over.

A journal on another database is a class with the methods of `Journal` or `AsyncJournal`.
"""

from .memory import MemoryJournal
from .protocol import DEFAULT_LEASE, RESERVATION, AsyncJournal, Entry, Journal, KeyedStart, State
from .redis import Persistence, RedisJournal
from .sqlite import SQLiteJournal

__all__ = [
    "DEFAULT_LEASE",
    "RESERVATION",
    "AsyncJournal",
    "Entry",
    "Journal",
    "KeyedStart",
    "MemoryJournal",
    "Persistence",
    "RedisJournal",
    "SQLiteJournal",
    "State",
]
