"""A trace on a real machine: from a trace to a script of the runner, and from its log to a verdict.

How a trace's events are driven is known to a package of each architecture, `harness.drive.ARCH`.
"""
