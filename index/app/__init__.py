"""One tenant: `app.py` is its face, `state.py` what it is at one moment, the others what is done with that."""

from .app import App

__all__ = ["App"]
