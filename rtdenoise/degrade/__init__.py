"""One language for damage, the same in `rtdenoise degrade`, in recipes and in evaluations.

    lowpass 2500..8000 family=any | noise folder=rain snr=0..20 | codec opus 8..32 p=0.5

Every step keeps the timing (delays of filters and codecs are taken out) and says what a perfect
restorer should give, so that a changed level is never mistaken for damage.
"""

from .language import Chain, Degraded, parse

__all__ = ["Chain", "Degraded", "parse"]
