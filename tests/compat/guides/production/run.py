"""What the production guide calls `run:app`."""

from guide_app import create_app

app = create_app()
