"""The table of commands: one entry makes one. Each room brings its own."""

from . import _journal, _many, _profiles, _requests, _tools

COMMANDS = (*_requests.COMMANDS, *_many.COMMANDS, *_journal.COMMANDS, *_profiles.COMMANDS, *_tools.COMMANDS)
