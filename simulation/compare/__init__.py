"""`wardround compare`: all methods on all held-out tasks, and the gate beside them.

    matrix ──► unit: division ──► cast ──► validation ──► scoring ──► results ──► report
    run.py     unit.py division.py cast.py  validation.py  scoring.py  results.py  report.py

A unit is one seed and one choice of what is held out. Units are independent and kept on disk.
"""
