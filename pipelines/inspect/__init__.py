"""The inspection page: views of a build, served on loopback or written as files, by the same functions and templates.

sources.py      what is looked at: stages in force, what is wrong with them, their tables and datasets
views/          one function a view: (Source, Query) to what its template shows
drawings.py     pictures by name: arrays of samples and pictures as fetched, always encoded anew as PNG
templates/      how a view looks; static/: style, scripts and what is vendored
server.py       Starlette around them; report.py: the same as files
"""
