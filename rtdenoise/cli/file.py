"""Remove noise from sound files. The output keeps rate, channels, format, length and timing.

  rtdenoise file talk.wav                    write talk.denoised.wav beside it
  rtdenoise file talk.wav -o clean.flac      write another format, chosen by the suffix
  rtdenoise file -r recordings -O cleaned    process a tree of folders and keep all names
  rtdenoise file 'takes/*.wav' --mix 80      process what a glob matches, quoted or not
  cat in.wav | rtdenoise file - > out.wav    read stdin, write stdout

The inputs can be whatever libsndfile reads: wav, w64, rf64, aiff, flac, ogg, opus, mp3, caf, au and
more. The output keeps the subtype (24 bits stay 24 bits); integer samples are rounded and clipped
at full scale. mp3, ogg and opus are decoded and encoded again at libsndfile's default bit rate,
which costs some quality; their length and timing stay exact. opus knows 8, 12, 16, 24 and 48 kHz
only. ADPCM and GSM hold whole blocks, so a few samples can follow the end; this is reported.

An output appears whole or not at all: Ctrl-C, a full disk or kill -9 leave no partial file. A
truncated input is processed as far as it goes, with a warning. An input that is damaged in the
middle is refused.

Exit codes: 0 all done, 1 some inputs failed, 2 usage, 4 model, 130 interrupted.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from contextlib import closing, nullcontext
from pathlib import Path
from threading import Event, Lock
from typing import TYPE_CHECKING, Any

from ..errors import Problem
from ..files.pending import STD
from .arguments import DEFAULT_MODEL, add_model, add_strength, strength
from .reporter import Reporter, as_dict

if TYPE_CHECKING:
    from ..chain.effect import Effect
    from ..files.batch import Job, Plan
    from ..files.offline import Listener
    from ..files.reader import SoundReader

HELP = "clean sound files"
ADVICE = {
    Problem.EXISTS: "Choose another name (-o), overwrite it (-f), or leave such files out "
    "(--skip-existing)",
    Problem.ITSELF: "Choose another name with -o, -O or --suffix, or replace the input with -f",
    Problem.SAME_OUTPUT: "Name the folder they are in and add -r, to keep the tree, or use "
    "--suffix",
    Problem.FOLDER_IN: "Add -r to process the sound files in it",
    Problem.FOLDER_OUT: "Choose another folder with -O DIR",
    Problem.ONE_OUTPUT: "-o FILE names the output of one input, -O DIR the folder of several",
    Problem.FORMAT: "Give another format: -o NAME.flac",
    Problem.NET_FAILED: "Try `rtdenoise verify MODEL`, or another model with -m",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the inputs, the outputs, the dry/wet settings and the reports to *parser*."""
    parser.add_argument(
        "inputs", nargs="+", metavar="IN", help="files or globs; with -r also folders; - is stdin"
    )
    out = parser.add_argument_group("outputs")
    out.add_argument(
        "-o", "--out", metavar="FILE", help="output file of a single input; - is stdout"
    )
    out.add_argument(
        "-O", "--output-dir", metavar="DIR", help="folder for the outputs; they keep their names"
    )
    out.add_argument(
        "--suffix",
        metavar="TEXT",
        help="text to add to the name, before its suffix (default: .denoised; with -O none)",
    )
    out.add_argument(
        "-r",
        "--recursive",
        action="store_true",
        help="search folders; -O repeats their tree (of several folders, each under its own name)",
    )
    out.add_argument(
        "-f", "--force", action="store_true", help="replace existing outputs, or the input itself"
    )
    out.add_argument(
        "--skip-existing", action="store_true", help="skip inputs whose output already exists"
    )
    how = parser.add_argument_group("processing")
    add_model(parser)
    add_strength(parser)
    how.add_argument(
        "--board", metavar="TOML", help="run this board of effects instead of one model"
    )
    how.add_argument(
        "--jobs",
        type=int,
        metavar="N",
        help="number of files to process at once; they share the model (default: one a core)",
    )
    more = parser.add_argument_group("reports")
    more.add_argument(
        "--picture",
        action="store_true",
        help="write a PNG beside each output: spectrograms before and after",
    )
    more.add_argument(
        "--reference",
        metavar="CLEAN",
        help="score input and output against this clean recording, or against the file of the same "
        "name in this folder: SI-SDR and SNR in dB, LSD (2048/512 Hann, log10 power)",
    )
    more.add_argument(
        "--json", action="store_true", help="print one JSON object for each file on stdout"
    )
    more.add_argument("-q", "--quiet", action="store_true", help="print errors only")


def run(args: argparse.Namespace) -> int:
    """Plan the jobs, process them and report; return the exit code."""
    from ..files import batch

    naming = batch.Naming(args.out, args.output_dir, args.suffix, args.force, args.skip_existing)
    plan = batch.plan(args.inputs, naming, args.recursive)
    _check(args, plan)
    stop, reporter = Event(), Reporter(args, ADVICE)
    reporter.plan(plan)
    if plan.jobs:
        effect, model = _effects(args)
        prepare = effect().prepare_thread  # a mistake in the board must stop everything now
        workers = min(len(plan.jobs), args.jobs or os.cpu_count() or 1)
        with _progress(args, plan) as progress:
            work = _Work(args, model, stop, progress)
            with closing(batch.run(plan.jobs, work, effect, workers, stop, prepare)) as results:
                for job, result in results:
                    reporter.job(job, result)
    return reporter.end()


def _check(args: argparse.Namespace, plan: Plan) -> None:
    """Refuse flags that contradict each other, or the plan."""
    from ..errors import UsageError

    standard_out = any(job.target == STD for job in plan.jobs)
    refusals = {
        "--json and the sound would both go to stdout: give -o FILE": args.json and standard_out,
        "--picture needs a named output to stand next to: give -o FILE": args.picture
        and standard_out,
        "stdin is a terminal: pipe a sound file in, cat in.wav | rtdenoise file -": STD
        in args.inputs
        and sys.stdin.isatty(),
        "stdout is a terminal: give -o FILE, or send it on, | aplay": standard_out
        and sys.stdout.isatty(),
        "--board names its own models: leave -m out, and write it into the board": args.board
        and args.model != DEFAULT_MODEL,
        f"--jobs {args.jobs}: wanted 1 or more": args.jobs is not None and args.jobs < 1,
        f"--reference {args.reference} is one recording, but there are {len(plan.jobs)} inputs: "
        "give a folder that holds a clean file of the same name for each": args.reference
        and len(plan.jobs) > 1
        and not Path(args.reference).is_dir(),
    }
    for message, refused in refusals.items():
        if refused:
            raise UsageError(message)


def _effects(args: argparse.Namespace) -> tuple[Callable[[], Effect], str]:
    """Return a function that makes the effect for each file, and the effect's name."""
    if args.board:
        from ..chain.boardfile import open_board
        from ..chain.effect import with_strength

        how = strength(args)
        # Each file needs a board of its own, because native plugins hold their state. It is made in
        # the main thread, because a VST3 can be loaded only there.
        return lambda: with_strength(open_board(args.board), how), args.board
    from ..chain.effect import Denoise

    effect = Denoise(args.model, args.mix, args.atten_lim, args.residual)
    return lambda: effect, effect.net.card.name


def _progress(args: argparse.Namespace, plan: Plan) -> Any:
    """Return the progress bar on stderr, or an empty context if nobody would see it."""
    from ..errors import AudioError
    from ..files.reader import SoundReader

    if args.quiet or not sys.stderr.isatty():
        return nullcontext()
    from .meters import Progress

    total = 0.0
    for job in plan.jobs:
        try:
            if job.source != STD:
                with SoundReader(job.source) as reader:
                    total += reader.seconds
        except AudioError:
            pass  # the job itself reports it
    return Progress(total, args.quiet)


class _Stopped(Exception):  # noqa: N818 - not an error
    """The end of a job because the user pressed Ctrl-C."""


class _Work:
    """The work on one job, which a worker thread does.

    Args:
        args: The flags.
        model: Name of the model or of the board.
        stop: Event that ends the work when it is set.
        progress: The progress bar. None: there is none.
    """

    def __init__(
        self,
        args: argparse.Namespace,
        model: str,
        stop: Event,
        progress: Any,
    ) -> None:
        self.args, self.model = args, model
        self.stop, self.progress, self.lock = stop, progress, Lock()

    def watch(self, seconds: float) -> None:
        """Advance the progress bar by *seconds* of sound; raise if the work must stop."""
        if self.stop.is_set():
            raise _Stopped
        if self.progress is not None:
            with self.lock:
                self.progress.advance(seconds)

    def __call__(self, job: Job, effect: Effect) -> dict[str, Any]:
        """Process one file with an effect; return the line that --json prints."""
        from ..files.offline import Against, process_file
        from ..files.pending import exists_error, make_folder
        from ..files.picture import BeforeAfter

        png = Path(job.target).with_suffix(".png") if self.args.picture else None
        if png is not None and png.exists() and not self.args.force:
            raise exists_error(str(png))
        if self.args.output_dir:
            make_folder(Path(job.target).parent)
        listeners: dict[str, Any] = {}

        def listen(reader: SoundReader) -> list[Listener]:
            if self.args.reference:
                listeners["scores"] = Against(self._reference(job), reader)
            if png is not None:
                listeners["picture"] = BeforeAfter(reader.rate, reader.channels, reader.frames)
            return list(listeners.values())

        try:
            report = process_file(
                job.source,
                job.target,
                effect,
                overwrite=self.args.force,
                listen=listen,
                watch=self.watch,
            )
        finally:
            if "scores" in listeners:
                listeners["scores"].close()
        line = as_dict(report, self.model)
        if "scores" in listeners:
            scores = listeners["scores"].result()
            line |= {"reference": self._reference(job), "scores": scores}
        if png is not None:
            title = f"{report.input} · {self.model}"
            listeners["picture"].save(png, title, self.args.force)
            line["picture"] = str(png)
        return line

    def _reference(self, job: Job) -> str:
        """Return the name of the clean recording for *job*."""
        reference = Path(self.args.reference)
        return str(reference / Path(job.source).name if reference.is_dir() else reference)
