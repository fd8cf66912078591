"""The report of a comparison (in work)."""

from collections.abc import Mapping
from typing import Any


def report_html(results: Mapping[str, Any]) -> str:
    """Return the report as the text of one HTML file."""
    return f"<!doctype html><title>{results['dataset']}</title>"
