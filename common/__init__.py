"""The numerical core and the contracts that every part of Wardround shares."""
