"""Parallel test-time compute as large offline jobs: many independent thoughts, one answer."""

__version__ = "0.1.0"
