"""Frontalbench: does turning an angled face to the front keep the person's identity?"""

__version__ = "0.1.0"
