"""Reason codes: all that a refusal says, here and at the coordinator."""

import re

CODE = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}")
OTHER = "other"


def clean_code(text: object) -> str:
    """Return the text if it has the form of a reason code, else `other`: no free text passes."""
    return text if isinstance(text, str) and CODE.fullmatch(text) else OTHER
