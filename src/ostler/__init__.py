"""Ostler: a pre-fork application server for WSGI applications."""

__version__ = "0.1.0"
