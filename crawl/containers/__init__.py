"""Picture files as containers, one module a format: what decoding would cost, and the file without its metadata.

Decoders trust what a file says of itself: they set memory aside for a canvas nobody draws on, read every text chunk,
follow every pointer of every EXIF directory. Each module walks its format in bounded work and hands on what the
decoder needs to draw the first frame, and nothing else.
"""
