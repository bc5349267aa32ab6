"""The table of commands: one entry makes one. Each room brings its own."""

from . import _profiles, _requests, _tools

COMMANDS = (*_requests.COMMANDS, *_profiles.COMMANDS, *_tools.COMMANDS)
