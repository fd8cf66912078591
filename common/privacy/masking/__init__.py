"""Secure aggregation: the coordinator learns the sum of the sites' vectors, and no single one.

The protocol of Bonawitz et al., "Practical Secure Aggregation for Privacy-Preserving Machine
Learning", CCS 2017, https://doi.org/10.1145/3133956.3133982, on the complete graph and against a
malicious server (their figure 4 with the consistency check). Two things differ: secrets are dealt
once for many turns, each turn with secrets of its own; and the masks' keys contain the hash of the
model that was sent, so that masks cancel among sites that were given the same one only (Pasquini et
al., "Eluding Secure Aggregation in Federated Learning via Model Inconsistency", CCS 2022,
https://doi.org/10.1145/3548606.3560557).

All of it is pure: keys, clock and randomness are arguments, and state is returned.

    ring          fixed-point numbers modulo 2^64, and streams of masks
    shamir        secret sharing
    roster        who the sites are, signed by the sites
    statements    what is said and signed
    keys          what a site derives, and what it seals for its peers
    rules         what a site insists on
    member        a site's part, phase after phase
    unmask        the coordinator's part
"""
