"""
Benchmarks: what sessions cost here, at the peers, and at the least.

``sh tests/benchmarks/run.sh [PART ...]`` installs what they need and runs
them; ``--help`` lists the parts and their options. Each part is a module with

- ``measure(bench)``, which returns what it found as plain data for JSON; the
  argument is a :class:`benchmarks.servers.Bench`;
- ``report(data, page)``, which shows it: tables and charts on a
  :class:`benchmarks.page.Page`.

What was measured is kept in ``docs/benchmarks.json``. Made from that are
``docs/benchmark_report.rst`` with its charts and the short
``docs/benchmarks.rst``. Absolute times drift on a shared machine by
a factor of two within minutes, so contestants take turns in short blocks, and
the figures that count are ratios of neighbours.
"""
