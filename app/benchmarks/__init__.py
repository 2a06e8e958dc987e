"""Measurements of the running application."""

from __future__ import annotations
