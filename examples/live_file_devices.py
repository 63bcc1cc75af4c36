"""The live engine without a sound card: file in, file out, and what it measured.

python examples/live_file_devices.py
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import soundfile as sf

CLIPS = Path(__file__).parent / "audio"

with tempfile.TemporaryDirectory() as folder:
    heard = Path(folder) / "heard.wav"
    command = [sys.executable, "-m", "rtdenoise", "live", "--json", "--clock", "fast"]
    command += ["--in", f"file:{CLIPS / 'noisy.flac'}", "--out", f"file:{heard}"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    summary = json.loads(done.stdout)
    late = sf.info(heard).frames - sf.info(CLIPS / "noisy.flac").frames

print(f"{summary['seconds']} s in {summary['callbacks']} callbacks")
print(f"hop p50 {summary['hop_p50_ms']} ms, p99 {summary['hop_p99_ms']} ms")
print(f"late, dry, failed hops: {summary['late']}, {summary['dry']}, {summary['failed']}")
print(f"the output is {late} samples late, and one block more through a sound card")
