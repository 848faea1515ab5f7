"""How a page or picture is found, fetched and judged: plain functions over bytes and text.

Fetching: `urls`, `addresses`, `robots`, `http`, `html`, `warc`, `lane`, `wikimedia`.
Cleaning: `images`, `text`. The tables that pass between them: `records`.
"""
