"""From a published initialization and k labelled patients to predictions that do no harm.

    start ──► candidates ──► gate ──► calibrated probability ──► prediction set, abstention
    starts.py  candidates.py  gate.py                             conformal.py

A *start* is an initialization. A *candidate* is one way to use it, or none, on the support. The
*gate* mixes the candidates; its weights were learned on validation tasks of the federation.
"""
