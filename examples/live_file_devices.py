"""The live engine without a sound card: a file as the microphone, another one as the speakers.

python examples/live_file_devices.py

With rtdenoise.Live("mic", "speakers", ...) the same lines clean a voice while it speaks.
"""

import tempfile
from pathlib import Path

import soundfile as sf

from rtdenoise import Denoise, Live, Strength

NOISY = Path(__file__).parent / "audio" / "noisy.flac"

with tempfile.TemporaryDirectory() as folder:
    heard = Path(folder) / "heard.wav"
    with Live(f"file:{NOISY}", f"file:{heard}", Denoise("speech"), duration_s=1.5) as live:
        for part, ms in live.latency_ms.items():
            print(f"{part}: {ms:.1f} ms")
        live.wait(timeout=0.5)
        live.strength = Strength(atten_lim_db=12)  # any time: it glides, so nothing clicks
        live.wait(timeout=0.5)
        live.bypass = True  # the input, as late as the processed sound
        status = live.status()
        print(f"in {status['in_db']:.0f} dB, out {status['out_db']:.0f} dB")
        live.wait()  # until its time is up; at any other end of the block it stops
    print(f"{sf.info(heard).duration:.2f} s were heard")

summary = live.summary()
print(f"{summary['ended']}: {summary['seconds']} s in {summary['callbacks']} callbacks")
print(f"hop p50 {summary['hop_p50_ms']} ms, p99 {summary['hop_p99_ms']} ms")
print(f"late, dry, failed hops: {summary['late']}, {summary['dry']}, {summary['failed']}")
