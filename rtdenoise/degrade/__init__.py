"""The degradation language, the same in `rtdenoise degrade`, in recipes and in evaluations.

    lowpass 2500..8000 family=any | noise folder=rain snr=0..20 | codec opus 8..32 p=0.5

Every step keeps the timing, because the delays of filters and codecs are compensated. Every step
also changes the reference, which is what a perfect restorer would give, where it must: a change of
level, for example, is no damage.
"""

from .language import Chain, Degraded, parse

__all__ = ["Chain", "Degraded", "parse"]
