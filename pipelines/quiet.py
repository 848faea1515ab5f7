"""Keeps libraries from printing while they are imported: the first module that the server of child processes loads.

Beam warns about optional parts that are not installed; a child sends what is logged later to its stage's log.
"""

import logging

logging.getLogger().addHandler(logging.NullHandler())
