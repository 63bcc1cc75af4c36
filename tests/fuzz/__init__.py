"""Fuzzing: seeded cases by the thousand, in a process with limits. See docs/reliability.md.

`python -m tests.fuzz --seconds 300` runs all targets; `--target boards --seed 7 --case 311` runs
one case again. A case passes if it ends with a result, or with an error that rtdenoise raises on
purpose. A raw exception, a crash and a hang are failures.
"""
