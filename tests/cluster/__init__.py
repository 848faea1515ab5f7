"""A Flink cluster on one machine, to test on: every host has a network, a /tmp and a name of its own.

Hosts: `head` (Flink's JobManager, Beam's job server, an S3 server), workers `w1`, `w2`, … (a TaskManager and its pool
of Python workers, one unit), and `site`, where web sites for the crawler listen. See `layout` for their addresses.
"""
