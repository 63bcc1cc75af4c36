"""What to type after an error. The library states facts; only the command line names options."""

from __future__ import annotations

from collections.abc import Mapping

from ..errors import Problem, RtdenoiseError

GENERAL = {
    Problem.NO_MODEL: "`rtdenoise models` lists the included ones; your own: -m path/to/net.pt",
    Problem.NO_PRESET: "To make one: rtdenoise preset save NAME, with options of `rtdenoise live`",
    Problem.PARTIAL: "`rtdenoise file` saves what can be read of it",
    Problem.DEVICE: "`rtdenoise devices` lists them; files need none: --in file:x.wav --out null",
}


def with_advice(error: Exception, advice: Mapping[Problem, str] | None = None) -> str:
    """Return the message of *error*, followed by what the user can type to fix it.

    Args:
        error: The error that was raised.
        advice: The fixes of the verb that ran, by the problem. None: it has none of its own.

    >>> with_advice(RtdenoiseError("a.wav is there", Problem.EXISTS), {Problem.EXISTS: "Add -f"})
    'a.wav is there. Add -f'
    """
    text = str(error)
    problem = error.problem if isinstance(error, RtdenoiseError) else Problem.NONE
    hint = (GENERAL | dict(advice or {})).get(problem, "")
    if not hint:
        return text
    return f"{text.rstrip()}{'' if text.rstrip().endswith(('.', '?')) else '.'} {hint}"
