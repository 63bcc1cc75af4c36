"""Write the model file of a run: the net and its card. Of several runs, their mean is written.

    python -m train export RUN... -o net.pt
    python -m train export RUN -o net.pt --scores numbers.json     # from `evaluate --card`
    python -m train export RUN -o net.pt --onnx net.onnx           # for ONNX Runtime as well
    python -m train export net.pt --onnx net.onnx                  # of a model that is there

The card is printed. A file of ONNX has to give the same samples as that of TorchScript on 30 s of
speech and of noise, or it is not written.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from rtdenoise.errors import UsageError

HELP = "write the model file of a run, which rtdenoise loads"
ADVICE = {
    "run": "Train first: python -m train fit RECIPE --cache CACHE --run RUN",
    "start": "Begin both with one model: python -m train fit --from MODEL",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add RUN, -o, --onnx and --scores."""
    parser.add_argument(
        "runs", type=Path, nargs="+", metavar="RUN", help="folders of runs, or one model (--onnx)"
    )
    parser.add_argument("-o", "--out", type=Path, help="output: the model file")
    parser.add_argument("--onnx", type=Path, help="output: the same model as a file of ONNX")
    parser.add_argument("--scores", type=Path, help="scores for the card, from `evaluate --card`")


def run(args: argparse.Namespace) -> int:
    """Check the net, write the files and print the card of the last one."""
    from ..run.export import export
    from ..run.onnx_file import convert

    if not (args.out or args.onnx):
        raise UsageError("wanted an output: -o net.pt, --onnx net.onnx, or both")
    model, runs = args.runs[0], all(path.is_dir() for path in args.runs)
    if len(args.runs) == 1 and not runs and args.onnx and not args.out:
        print(convert(model, args.onnx).to_json())
        return 0
    with tempfile.TemporaryDirectory() as folder:
        model = args.out or Path(folder) / "net.pt"
        card = export(args.runs, model, args.scores)
        print((convert(model, args.onnx) if args.onnx else card).to_json())
    return 0
