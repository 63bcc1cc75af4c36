"""Degrade sound files as training does: noise, rooms, narrow bands, codecs, clipping.

  rtdenoise degrade in.wav -o out.wav "lowpass 2500..8000 | noise white snr=0..20"
  rtdenoise degrade in.wav -o out.wav "noise folder=rain/ snr=5" --write-reference ref.wav
  rtdenoise degrade -r clean/ -O noisy/ "codec opus 8..32 p=0.5 | packetloss 5%"

Quote the text, because | is a pipe to the shell. A value is drawn from a range once for each file;
it depends on --seed and on the file's place in the list. The output has the rate, channels, length,
format and timing of the input. docs/degrade.md describes all steps.

--write-reference writes the target of a training: what a perfect model would restore.

Exit codes: 0 all done, 1 some inputs failed, 2 usage, 130 interrupted.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import AudioError, Problem, printable
from ..sound.pending import STD
from .advice import with_advice
from .arguments import add_outputs, add_quality, add_quiet, file_name

if TYPE_CHECKING:
    from ..degrade import Chain
    from ..files.batch import Job

HELP = "degrade sound files: noise, rooms, narrow bands, codecs"
ADVICE = {
    Problem.EXISTS: "Choose another name (-o), or overwrite it (-f)",
    Problem.ITSELF: "Choose another name with -o or -O, or replace the input with -f",
    Problem.INPUT: "Choose another name with -o or -O",
    Problem.LONG_NAME: "Choose a shorter one with -o",
    Problem.PIPE: "Send it to stdin: cat PIPE | rtdenoise degrade - TEXT -o NAME.wav",
    Problem.FOLDER_IN: "Add -r to degrade the sound files in it",
    Problem.FOLDER_OUT: "Choose another folder with -O DIR",
    Problem.ONE_OUTPUT: "-o FILE names the output of one input, -O DIR the folder of several",
    Problem.FORMAT: "Give another format: -o NAME.flac",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the inputs, the text and the outputs to *parser*."""
    parser.add_argument(
        "inputs",
        nargs="+",
        type=os.path.expanduser,
        metavar="IN",
        help="files or globs; with -r also folders",
    )
    parser.add_argument("text", metavar="TEXT", help="the steps, with | between them")
    add_outputs(parser)
    parser.add_argument(
        "--seed", type=int, default=0, help="seed of the random values (default: 0)"
    )
    parser.add_argument(
        "--write-reference",
        type=file_name,
        metavar="FILE",
        help="write the target of a single input: what a perfect model would restore",
    )
    add_quality(parser)
    add_quiet(parser)


def run(args: argparse.Namespace) -> int:
    """Degrade every input; return the exit code."""
    from ..degrade import parse
    from ..errors import UsageError
    from ..files.batch import Naming, plan
    from ..sound.inputs import told_skipped

    chain = parse(args.text)
    second = (lambda target: args.write_reference) if args.write_reference else None
    naming = Naming(args.out, args.output_dir, force=args.force, usual=".degraded", second=second)
    read = [str(path) for path in chain.recordings()]
    jobs = plan(args.inputs, naming, args.recursive, read)
    if second and len(jobs.jobs) + len(jobs.failed) != 1:
        raise UsageError(f"--write-reference names one file, got {len(jobs.jobs)} inputs")
    for source in jobs.left_out:
        print(f"{printable(source)}: left out, it is the output of another input", file=sys.stderr)
    if jobs.unread and not args.quiet:
        print(told_skipped(jobs.unread), file=sys.stderr)
    failed = [error for _, error in jobs.failed]
    for number, job in enumerate(jobs.jobs):
        try:
            steps = _degrade(chain, job, args, [args.seed, number])
        except AudioError as error:
            failed.append(error)
            continue
        if not args.quiet:
            drawn = " | ".join(steps) or "unchanged"
            out = sys.stderr if job.target == STD else sys.stdout
            print(f"{printable(job.source)} -> {printable(job.target)}", file=out)
            print(f"  {printable(drawn)}", file=out)
    for failure in failed:
        text = printable(with_advice(failure, ADVICE))
        print(f"rtdenoise degrade: {text}", file=sys.stderr)
    return 1 if failed else 0


def _degrade(chain: Chain, job: Job, args: argparse.Namespace, seed: list[int]) -> tuple[str, ...]:
    """Degrade one file, and return the steps that were drawn."""
    import numpy as np

    from ..files.ends import open_input, open_output
    from ..sound.pending import make_folder

    with open_input(job.source) as reader, reader.raw() as original:
        blocks = list(reader)
        audio = np.concatenate(blocks, 1) if blocks else np.zeros((reader.channels, 0), np.float32)
        out = chain(np.nan_to_num(audio), reader.rate, np.random.default_rng(seed))
        sounds = {job.target: out.audio} | ({job.second: out.reference} if job.second else {})
        for path, sound in sounds.items():
            make_folder(Path(path).parent)
            make = open_output(path, reader, original, args.quality, args.force)
            with make as writer:
                writer.write(np.ascontiguousarray(sound))
            clipped = f"{writer.clipped} samples clipped in {printable(path)}"
            for warning in ([clipped] if writer.clipped else []) + writer.warnings:
                print(f"  warning: {warning}", file=sys.stderr)
    return out.steps
