"""What keeps a cluster from standing, as one line."""


class ClusterError(Exception):
    """The message says what is wrong, and what would do."""
