"""A file through a server of streams, block by block as a live stream would go.

python examples/serve_client.py [ws://HOST:PORT]

Without an address, it starts a server of its own, as `rtdenoise serve --port 0` does.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import soundfile as sf

from rtdenoise.files.scores import score

try:
    import uvicorn  # noqa: F401
    import websockets  # noqa: F401
except ImportError as error:
    print(f"SKIP: needs the extra: pip install 'rtdenoise[serve]' ({error.name})")
    sys.exit()

from rtdenoise.serve.client import Hello, Remote, clean

CLIPS = Path(__file__).parent / "audio"
SERVE = [sys.executable, "-m", "rtdenoise", "serve", "-m", "speech-small", "--port", "0"]


def cleaned(url: str, target: Path) -> None:
    """Send the noisy recording to the server at *url*, and write what comes back."""
    noisy, rate = sf.read(CLIPS / "noisy.flac", dtype="float32", always_2d=True)
    remote = Remote(url, Hello(rate, format="s16"), tell=lambda event: print(event.text))
    blocks = (noisy.T[:, at : at + 480] for at in range(0, len(noisy), 480))
    with sf.SoundFile(target, "w", rate, channels=1) as file:
        for block in clean(remote, blocks):  # aligned; blocks of other sizes than those sent
            file.write(block.T)
    late_ms = 1000 * remote.ready["latency_samples"] / rate
    print(f"{len(noisy)} samples in, {sf.info(target).frames} out, {late_ms:.1f} ms late when live")


with tempfile.TemporaryDirectory() as folder:
    target = Path(folder) / "clean.wav"
    if len(sys.argv) > 1:
        cleaned(sys.argv[1], target)
    else:
        with subprocess.Popen([*SERVE, "--most", "4"], stdout=subprocess.PIPE, text=True) as server:
            assert server.stdout is not None  # noqa: S101
            cleaned(server.stdout.readline().strip(), target)
            server.terminate()
    wet, dry = (sf.read(name, dtype="float32")[0] for name in (target, CLIPS / "noisy.flac"))

clean_voice, _ = sf.read(CLIPS / "clean.flac", dtype="float32")
before, after = (score(each[None], clean_voice[None])["SI-SDR dB"] for each in (dry, wet))
print(f"SI-SDR {before:.1f} dB before, {after:.1f} dB after")
