"""Loads Beam for a child process, quickly and without a word: the first module that the server of children loads.

Beam imports what it finds of its optional parts, and warns of those that it does not find. Two that cost a third of its
start, and that nothing here uses, are kept from it. A child sends what is logged later to its stage's log.
"""

import logging
import sys

_UNUSED = ("pandas", "pymongo")
"""For its data frames, and for MongoDB."""

logging.getLogger().addHandler(logging.NullHandler())

if "apache_beam" not in sys.modules:
    hidden = [name for name in _UNUSED if name not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]  # which makes their import fail
    import apache_beam  # noqa: F401

    for name in hidden:
        del sys.modules[name]
