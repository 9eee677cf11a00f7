"""Benchmarks: this server and a real OpenBao, on the same machine, in the same run.

One line runs the comparison: ``make bench`` (or ``python -m contrib.bench --seconds 10``). It needs ``wrk``.
``python -m contrib.bench.openloop`` holds many idle connections at a steady rate; ``python -m contrib.bench.million``
fills a store with a million keys.
"""
