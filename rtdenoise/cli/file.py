"""Remove noise from sound files. The output keeps rate, channels, format, length and timing.

  rtdenoise file talk.wav                    write talk.denoised.wav beside it
  rtdenoise file talk.wav -o clean.flac      write another format, chosen by the suffix
  rtdenoise file -r recordings -O cleaned    process a tree of folders and keep all names
  rtdenoise file 'takes/*.wav' --mix 80      process what a glob matches, quoted or not
  rtdenoise file talk.mp4                    clean the sound of a video, keep its picture
  cat in.wav | rtdenoise file - > out.wav    read stdin, write stdout
  rtdenoise file -r rec -O out --log l.jsonl go on where the last run ended; docs/scale.md has more

The inputs can be whatever libsndfile reads: wav, w64, rf64, aiff, flac, ogg, opus, mp3, caf, au and
more. The output keeps the subtype (24 bits stay 24 bits); integer samples are rounded and clipped
at full scale. A format that cannot hold the rate or the channels is refused before the work, with
a list of those that can: opus knows 8, 12, 16, 24 and 48 kHz only, mp3 one or two channels.

mp3, ogg and opus are decoded and encoded again; their length and timing stay exact. The output has
at least the bit rate of the input (a variable mp3 gets the constant rate above its mean, a vorbis
file the quality that it had, or 6), or what --quality says. If the input is not lossy, mp3 gets 96
kb/s a channel, opus 64 a channel, and vorbis its quality 6. wav and flac made of a lossy file have
24 bits, because its decoder gives more than 16. ADPCM and GSM hold whole blocks, so a few samples
can follow the end; this is reported.

m4a, mp4, mov, mkv, webm, aac, wma and others need the extra `media` (PyAV). Their sound is encoded
with its own codec at its own bit rate; picture, other tracks, subtitles and chapters are copied.

An output appears whole or not at all: Ctrl-C, a full disk or kill -9 leave no partial file. Of an
input that is cut off or damaged, what can be decoded is processed and saved, with silence in place
of damage; the input counts as failed, and a line says how much is missing.

The output is for whom the input is for: it gets its mode bits, and where the system allows it, its
owner and group. No output replaces what is read, except an input by its own output with -f. A pipe
is read as stdin only. In --json, names are exact: bytes that are no UTF-8 are surrogates.

Exit codes: 0 all done, 1 some inputs failed, 2 usage, 4 model, 130 interrupted.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, closing, nullcontext
from pathlib import Path
from threading import Event, Lock
from typing import TYPE_CHECKING, Any

from ..errors import Problem
from ..sound.pending import STD
from .archive import add_archive, is_archive, run_archive
from .arguments import (
    DEFAULT_MODEL,
    add_board,
    add_json,
    add_model,
    add_outputs,
    add_quality,
    add_quiet,
    add_strength,
    file_name,
    parameters,
    strength,
)
from .editor import add_editor, check_editor, edit
from .reporter import Reporter, as_dict

if TYPE_CHECKING:
    from ..chain.effect import Effect
    from ..files.batch import Job, Plan
    from ..files.ends import Input
    from ..files.offline import Listener
    from ..sound.pending import Pending

HELP = "clean sound files"
ADVICE = {
    Problem.EXISTS: "Choose another name (-o), overwrite it (-f), or leave such files out "
    "(--skip-existing)",
    Problem.ITSELF: "Choose another name with -o, -O or --suffix, or replace the input with -f",
    Problem.SAME_OUTPUT: "Name the folder they are in and add -r, to keep the tree, or use "
    "--suffix",
    Problem.INPUT: "Choose another name with -o, -O or --suffix, or leave one of them out",
    Problem.PIPE: "Send it to stdin: cat PIPE | rtdenoise file - -o NAME.wav",
    Problem.LONG_NAME: "Choose a shorter one with -o, or --suffix",
    Problem.FOLDER_IN: "Add -r to process the sound files in it",
    Problem.FOLDER_OUT: "Choose another folder with -O DIR",
    Problem.ONE_OUTPUT: "-o FILE names the output of one input, -O DIR the folder of several",
    Problem.FORMAT: "Name the output after one of them, with -o",
    Problem.BIT_RATE: "Leave --quality out to let the input decide",
    Problem.NET_FAILED: "Try `rtdenoise verify MODEL`, or another model with -m",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the inputs, the outputs, the dry/wet settings and the reports to *parser*."""
    parser.add_argument(
        "inputs",
        nargs="*",
        type=os.path.expanduser,
        metavar="IN",
        help="files, globs or URLs; with -r also folders; - is stdin",
    )
    out = parser.add_argument_group("outputs")
    add_outputs(out)
    out.add_argument(
        "--suffix",
        metavar="TEXT",
        help="text to add to the name, before its suffix (default: .denoised; with -O none)",
    )
    out.add_argument(
        "--skip-existing", action="store_true", help="skip inputs whose output already exists"
    )
    add_quality(out)
    how = parser.add_argument_group("processing")
    add_model(parser)
    add_strength(parser)
    add_board(how)
    add_editor(how)
    how.add_argument(
        "--jobs",
        type=int,
        metavar="N",
        help="number of files at once; they share the model (default: one a core)",
    )
    more = parser.add_argument_group("reports")
    more.add_argument(
        "--picture",
        action="store_true",
        help="write a PNG beside each output, OUTPUT.png: spectrograms before and after",
    )
    more.add_argument(
        "--reference",
        type=file_name,
        metavar="CLEAN",
        help="clean recordings: one, or a folder of files of the same names: score input and "
        "output against it: SI-SDR and SNR in dB, LSD (2048/512 Hann, log10 power)",
    )
    add_json(more, "an object for each file")
    add_quiet(more)
    add_archive(parser.add_argument_group("archives"))


def run(args: argparse.Namespace) -> int:
    """Plan the jobs, process them and report; return the exit code."""
    from ..errors import UsageError
    from ..files import batch

    if is_archive(args):
        return run_archive(args, ADVICE)
    if not args.inputs:
        raise UsageError("name the files to clean, as in `rtdenoise file talk.wav`")
    naming = batch.Naming(
        args.out,
        args.output_dir,
        args.suffix,
        args.force,
        args.skip_existing,
        second=(lambda target: f"{target}.png") if args.picture else None,
    )
    also_read = [args.reference] if args.reference else []
    plan = batch.plan(args.inputs, naming, args.recursive, also_read)
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
        "--editor and --save-board are about a board: give --board": (
            args.editor or args.save_board
        )
        and not args.board,
        "--board names its own models: leave -m out, and write it into the board": args.board
        and args.model != DEFAULT_MODEL,
        f"--jobs {args.jobs}: wanted 1 or more": args.jobs is not None and args.jobs < 1,
        f"--reference {args.reference} is one recording, but there are {len(plan.jobs)} inputs: "
        "give a folder that holds a clean file of the same name for each": args.reference
        and len(plan.jobs) > 1
        and not os.path.isdir(args.reference),
    }
    for message, refused in refusals.items():
        if refused:
            raise UsageError(message)


def _effects(args: argparse.Namespace) -> tuple[Callable[[], Effect], str]:
    """Return a function that makes the effect for each file, and the effect's name."""
    if args.board:
        from ..chain.boardfile import board_from, described, open_board
        from ..chain.effect import with_strength

        how = strength(args)
        if args.editor or args.save_board:
            board = open_board(args.board)
            check_editor(args, board)
            edit(args, board)
            values = described(board)
            return lambda: with_strength(board_from(values, args.board), how), args.board
        # Each file needs a board of its own, because native plugins hold their state. It is made in
        # the main thread, because a VST3 can be loaded only there.
        return lambda: with_strength(open_board(args.board), how), args.board
    from ..chain.effect import Denoise

    effect = Denoise(args.model, args.mix, args.atten_lim, args.residual, **parameters(args))
    return lambda: effect, effect.net.card.name


def _progress(args: argparse.Namespace, plan: Plan) -> Any:
    """Return the progress bar on stderr, or an empty context if nobody would see it."""
    from ..errors import AudioError
    from ..files.ends import open_input

    if args.quiet or not sys.stderr.isatty():
        return nullcontext()
    from .meters import Progress

    total = 0.0
    for job in plan.jobs:
        try:
            if job.source != STD:
                with open_input(job.source) as reader:
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
        from ..chain.fitting import music_advice
        from ..files.offline import process_file
        from ..sound.pending import make_folder

        if self.args.output_dir:
            make_folder(Path(job.target).parent)
        listeners: dict[str, Any] = {}

        def listen(reader: Input) -> list[Listener]:
            listeners.update(self._listeners(job, effect, reader))
            return list(listeners.values())

        with self._picture(job) as picture:
            try:
                report = process_file(
                    job.source,
                    job.target,
                    effect,
                    kbps=self.args.quality,
                    overwrite=self.args.force,
                    listen=listen,
                    watch=self.watch,
                )
            finally:
                if "scores" in listeners:
                    listeners["scores"].close()
            if picture is not None:
                title = f"{report.input} · {self.model}"
                picture.path.write_bytes(listeners["picture"].png(title))
        line = as_dict(report, self.model)
        if job.source != STD:
            line["input"] = job.source  # the exact name; the report has it as people read it
        if "scores" in listeners:
            scores = listeners["scores"].result()
            line |= {"reference": self._reference(job), "scores": scores}
        if "kind" in listeners and listeners["kind"].music and (advice := music_advice(effect)):
            line["warnings"].append(advice)
        if picture is not None:
            line["picture"] = job.second
            line["warnings"] += picture.notes
        return line

    def _listeners(self, job: Job, effect: Effect, reader: Input) -> dict[str, Listener]:
        """Return what hears the file beside the effect, by name."""
        from ..chain.fitting import speech_card
        from ..files.kinds import Kind
        from ..files.picture import BeforeAfter
        from ..files.reference import Against

        made: dict[str, Listener] = {}
        if speech_card(effect):
            made["kind"] = Kind(reader.rate)
        if self.args.reference:
            made["scores"] = Against(self._reference(job), reader)
        if job.second is not None:
            made["picture"] = BeforeAfter(reader.rate, reader.channels, reader.frames)
        return made

    def _picture(self, job: Job) -> AbstractContextManager[Pending | None]:
        """Return the file for the picture of *job*, opened before the work; None: it has none."""
        from ..sound.inputs import check_readable
        from ..sound.pending import Pending

        if job.second is None:
            return nullcontext()
        if job.source != STD:
            check_readable(job.source)
        return Pending(job.second, self.args.force, like=job.source)

    def _reference(self, job: Job) -> str:
        """Return the name of the clean recording for *job*."""
        reference = Path(self.args.reference)
        return str(reference / Path(job.source).name if os.path.isdir(reference) else reference)
