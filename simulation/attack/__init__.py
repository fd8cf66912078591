"""The red team: what an attacker gets out of a study, without protection and with each profile."""
