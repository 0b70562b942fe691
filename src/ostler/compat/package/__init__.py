"""What `import gunicorn` means inside our processes: the version that Ostler stands in for, and Gunicorn's own name.

Files beside this one are Gunicorn's modules of the same name; finder.py says which are there.

Rules for editing: nothing heavy here, every process imports it.
"""

version_info = (27, 0, 1)
__version__ = ".".join(map(str, version_info))
SERVER = "gunicorn"
SERVER_SOFTWARE = f"{SERVER}/{__version__}"
