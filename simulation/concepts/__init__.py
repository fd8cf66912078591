"""The figures of docs/concepts.md, and the numbers in its text."""
