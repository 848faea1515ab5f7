"""Settings for all tests."""

from hypothesis import settings

# Shared machines stall: a slow example is no failure. The number of examples and their seeds stay the default.
settings.register_profile("seedbed", deadline=None)
settings.load_profile("seedbed")
