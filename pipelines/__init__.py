"""The Beam pipelines of Seedbed: recipes, stages, the command line and the report.

Each stage is one module (`crawl`, `images`, `score`, `text`, `triplets`, `windows`) that holds a graph and the plain
functions it connects; `stages` says what they depend on, `build` runs those that are out of date, and `cli` is
thin around it. Importing this package imports nothing heavy: Beam is loaded where a stage runs.
"""
