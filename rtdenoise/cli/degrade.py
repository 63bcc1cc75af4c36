"""Degrade sound files as training does: noise, rooms, narrow bands, codecs, clipping.

  rtdenoise degrade in.wav -o out.wav "lowpass 2500..8000 | noise white snr=0..20"
  rtdenoise degrade in.wav -o out.wav "noise folder=rain/ snr=5" --reference reference.wav
  rtdenoise degrade -r clean/ -O noisy/ "codec opus 8..32 p=0.5 | packetloss 5%"

Quote the text, because | is a pipe to the shell. A value is drawn from a range once for each file;
it depends on --seed and on the file's place in the list. The output has the rate, channels, length,
format and timing of the input. docs/degrade.md describes all steps.

Exit codes: 0 all done, 1 some inputs failed, 2 usage, 130 interrupted.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from .advice import with_advice

if TYPE_CHECKING:
    from ..degrade import Chain

HELP = "degrade sound files: noise, rooms, narrow bands, codecs"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the inputs, the text and the outputs to *parser*."""
    parser.add_argument(
        "inputs", nargs="+", metavar="IN", help="files or globs; with -r also folders"
    )
    parser.add_argument("text", metavar="TEXT", help="the steps, with | between them")
    parser.add_argument("-o", "--out", metavar="FILE", help="output file of a single input")
    parser.add_argument(
        "-O", "--output-dir", metavar="DIR", help="folder for the outputs; they keep their names"
    )
    parser.add_argument("-r", "--recursive", action="store_true", help="search folders")
    parser.add_argument("-f", "--force", action="store_true", help="replace existing outputs")
    parser.add_argument(
        "--seed", type=int, default=0, help="seed of the random values (default: 0)"
    )
    parser.add_argument(
        "--reference",
        metavar="FILE",
        help="also write the target: what a perfect model would restore",
    )
    parser.add_argument("-q", "--quiet", action="store_true", help="print errors only")


def run(args: argparse.Namespace) -> int:
    """Degrade every input; return the exit code."""
    from ..degrade import parse
    from ..errors import AudioError, UsageError
    from ..files.batch import Naming, plan

    chain = parse(args.text)
    suffix = None if args.output_dir else ".degraded"
    jobs = plan(args.inputs, Naming(args.out, args.output_dir, suffix, args.force), args.recursive)
    if args.reference and len(jobs.jobs) != 1:
        raise UsageError(f"--reference names one file, but there are {len(jobs.jobs)} inputs")
    failed = [str(error) for _, error in jobs.failed]
    for number, job in enumerate(jobs.jobs):
        try:
            steps = _degrade(chain, job.source, job.target, args, [args.seed, number])
        except AudioError as error:
            failed.append(with_advice(error))
            continue
        if not args.quiet:
            print(f"{job.source} -> {job.target}\n  {' | '.join(steps) or 'unchanged'}")
    for message in failed:
        print(f"rtdenoise degrade: {message}", file=sys.stderr)
    return 1 if failed else 0


def _degrade(
    chain: Chain, source: str, target: str, args: argparse.Namespace, seed: list[int]
) -> tuple[str, ...]:
    """Degrade one file, and return the steps that were drawn."""
    import numpy as np

    from ..files.formats import encoding
    from ..files.pending import make_folder
    from ..files.reader import SoundReader
    from ..files.writer import SoundWriter

    with SoundReader(source) as reader:
        blocks = list(reader)
        audio = np.concatenate(blocks, 1) if blocks else np.zeros((reader.channels, 0), np.float32)
        out = chain(np.nan_to_num(audio), reader.rate, np.random.default_rng(seed))
        sounds = {target: out.audio} | ({args.reference: out.reference} if args.reference else {})
        for path, sound in sounds.items():
            make_folder(Path(path).parent)
            format, subtype = encoding(path, reader)
            make = SoundWriter(
                path, reader.rate, reader.channels, format, subtype, overwrite=args.force
            )
            with make as writer:
                writer.write(np.ascontiguousarray(sound))
            if writer.clipped:
                print(f"  warning: {writer.clipped} samples clipped in {path}", file=sys.stderr)
    return out.steps
