"""A static site from the master tables: pages that open from a folder, without a server and without a network.

``master`` reads the tables, ``charts`` draws inline SVG, ``people`` makes the probe browser, ``build`` renders the pages.
"""
