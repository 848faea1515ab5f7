"""A small arboretum on the web, drawn and written from a seed, and a server that offers it on loopback."""
