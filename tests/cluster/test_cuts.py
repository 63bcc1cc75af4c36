"""A recording that was cut and joined is the uncut one, whatever is at its seams."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from rtdenoise import Board, Denoise
from rtdenoise.chain.autolevel import AutoLevel
from rtdenoise.cluster import cuts, here, memory, seams
from rtdenoise.cluster.items import Item
from rtdenoise.cluster.progress import Progress
from rtdenoise.cluster.work import Settings
from rtdenoise.errors import AudioError, Problem, UsageError
from rtdenoise.files.offline import process_file
from rtdenoise.files.results import ResultsLog
from tests.damaged import damaged_flac
from tests.sounds import noise, read, tell_files, write
from tests.toy_nets import Breaks, Identity, Late, Smoother, generator_for, save

SAME = 1e-5


@pytest.fixture(autouse=True)
def _short(monkeypatch):
    """Two runs must agree for half a second, so that short recordings do."""
    monkeypatch.setattr(seams, "CHECK_S", 0.5)


class Counts(nn.Module):
    """A gain by the number of windows since the start of the stream: it never forgets."""

    @torch.jit.export
    def initial_state(self, channels: int) -> Tensor:
        return torch.zeros(channels, 1)

    def forward(self, windows: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        turn = state + 1 + torch.arange(windows.shape[1], dtype=torch.float32)[None]
        return windows * (0.5 + 0.5 * torch.sin(turn))[:, :, None], turn[:, -1:]


def slow() -> nn.Module:
    """A net that remembers 20 s."""
    module = Smoother()
    module.speed.data.fill_(0.01)
    return module


def effect(module: nn.Module, memory_s: float = 1.0, **changes: object) -> Denoise:
    """The net as an effect, whose card says that it forgets within *memory_s*."""
    return Denoise(generator_for(module, config={"memory_s": memory_s}, **changes))


def pieces(source, folder, of, longest_s):
    """The cuts of *source*, and the files of its pieces."""
    planned = cuts.plan(source, of, longest_s)
    files = [folder / cut.name("key") for cut in planned]
    for cut, file in zip(planned, files, strict=True):
        cuts.piece(source, of, cut, file)
    return planned, files


def both(source, folder, of, longest_s):
    """The outputs of *source*, uncut and in pieces, both (channels, n); and the seams."""
    process_file(source, folder / "uncut.wav", of, overwrite=True)
    joined = cuts.Joined(source, of, *pieces(source, folder, of, longest_s))
    process_file(source, folder / "joined.wav", joined, overwrite=True)
    return read(folder / "uncut.wav"), read(folder / "joined.wav"), joined.seams


@pytest.fixture
def run(tmp_path_factory):
    """Function that runs a net on a recording as the command does, and returns the line of it."""

    class Lines(list, Progress):
        def __init__(self):
            Progress.__init__(self)

        def note(self, line, size=None):
            self.append(line)

    def run(source, target, module, jobs=2):
        model = save(module, tmp_path_factory.mktemp("net") / "net.pt", config={"memory_s": 0.1})
        settings, lines = Settings(model=str(model), longest_s=1.0, jobs=jobs), Lines()
        item = Item(str(source), None, str(target), source.name)
        here.run(iter([item]), settings, ResultsLog(None), lines)
        (line,) = lines
        return line

    return run


def close(uncut, joined):
    """Whether two outputs are as long as each other, and the same."""
    return uncut.shape == joined.shape and np.abs(uncut - joined).max() <= SAME


@pytest.mark.parametrize("rate", [8000, 11_025, 44_100, 48_000])
def test_the_pieces_are_the_uncut_recording_at_any_rate(rate, tmp_path, rng):
    """The phase of the resampler and the hops of the net are the same on both sides of a seam."""
    write(tmp_path / "in.wav", noise(rng, 2, 6 * rate), rate)
    of = effect(Smoother())
    uncut, joined, found = both(tmp_path / "in.wav", tmp_path, of, 2.1)

    assert len(found) == 2
    assert all(seam.agreed and seam.frames < 2 * rate for seam in found)
    assert close(uncut, joined)
    second = read(tmp_path / cuts.plan(tmp_path / "in.wav", of, 2.1)[1].name("key"))
    assert np.abs(second - uncut[:, found[0].start :][:, : second.shape[1]]).max() > 100 * SAME


@pytest.mark.parametrize("rate", [16_000, 48_000])
def test_lookahead_and_strength(rate, tmp_path, rng):
    """What a net knows of the future is right at a seam, and dry/wet settings remember nothing."""
    write(tmp_path / "in.wav", noise(rng, 1, 4 * rate), rate)
    net = generator_for(Late(3, 0.5), lookahead=3 * 512, config={"memory_s": 1.0})
    uncut, joined, _ = both(tmp_path / "in.wav", tmp_path, Denoise(net, 70.0, 12.0, True), 2.0)
    assert close(uncut, joined)


def test_a_net_that_remembers_for_longer_than_its_card_says(tmp_path, rng):
    """The run before goes on until both agree: the guess costs time, and never a sample."""
    write(
        tmp_path / "in.wav",
        noise(rng, 1, 36 * 48_000) * np.repeat([[1, 0.1, 0.6]], 576_000, 1).astype(np.float32),
    )
    uncut, joined, found = both(tmp_path / "in.wav", tmp_path, effect(slow(), 0.5), 12.0)
    assert all(seam.agreed and seam.frames > 5 * 48_000 for seam in found)
    assert close(uncut, joined)


def test_a_net_that_never_forgets(tmp_path, rng):
    """The run of the first piece goes on to the end, over all seams: slow, and right."""
    write(tmp_path / "in.wav", noise(rng, 1, 6 * 48_000))
    uncut, joined, found = both(tmp_path / "in.wav", tmp_path, effect(Counts()), 2.0)
    assert [seam.agreed for seam in found] == [False]
    assert close(uncut, joined)


@pytest.mark.parametrize("silence", [(1.5, 4.5), (2.0, 3.0), (2.3, 4.0)])
def test_digital_silence_at_a_seam(silence, tmp_path, rng):
    """Silence tells nothing of what a net remembers, so nobody hands over in it."""
    audio = noise(rng, 1, 8 * 48_000)
    audio[:, slice(*(round(at * 48_000) for at in silence))] = 0
    write(tmp_path / "in.wav", audio)
    uncut, joined, found = both(tmp_path / "in.wav", tmp_path, effect(Smoother(), 0.2), 2.0)
    assert close(uncut, joined)
    assert all(seam.agreed for seam in found)


def test_a_board_with_native_plugins_and_nets_of_several_rates(tmp_path, rng):
    """Each net's hops, the blocks of the plugins and those of the auto-level begin together."""
    pedalboard = pytest.importorskip("pedalboard")
    write(tmp_path / "in.wav", noise(rng, 1, 6 * 48_000, 0.1))
    net = generator_for(Smoother(), sample_rate=16_000, config={"memory_s": 1.0})
    board = Board(
        [
            pedalboard.HighpassFilter(100),
            effect(Smoother()),
            pedalboard.Compressor(-30, 3, 5, 50),
            Denoise(net),
            AutoLevel(),
        ]
    )
    assert memory.grid(board, 48_000) == 38_400
    uncut, joined, found = both(tmp_path / "in.wav", tmp_path, board, 3.0)
    assert len(found) == 1
    assert close(uncut, joined)


def test_an_effect_that_counts_from_the_start_is_refused_by_name(tmp_path, rng):
    """One line that says which and why, before any work."""
    pedalboard = pytest.importorskip("pedalboard")
    write(tmp_path / "in.wav", noise(rng, 1, 48_000))
    for plugin in (pedalboard.Chorus(), pedalboard.PitchShift(2), pedalboard.Phaser()):
        name = type(plugin).__name__
        with pytest.raises(UsageError, match=rf"cut into pieces for {name}: .* take {name} out$"):
            cuts.plan(tmp_path / "in.wav", Board([pedalboard.Chain([plugin])]), 0.5)
    assert len(cuts.plan(tmp_path / "in.wav", Board([pedalboard.Chorus()]), 1.0)) == 1
    reverb = Board([pedalboard.Chain([pedalboard.Reverb()])])
    assert len(cuts.plan(tmp_path / "in.wav", reverb, 0.5)) == 2


@pytest.mark.parametrize("name", ["damaged.flac", "cut.flac", "cut.wav"])
def test_a_damaged_recording_keeps_its_place_and_its_sentence(name, tmp_path, rng):
    """What can be read is processed, and the report says what is missing, as without cuts."""
    damaged_flac(tmp_path / "damaged.flac")
    write(tmp_path / "whole.wav", noise(rng, 1, 3 * 48_000), subtype="PCM_16")
    write(tmp_path / "whole.flac", noise(rng, 1, 3 * 48_000), form="FLAC", subtype="PCM_16")
    for form in ("wav", "flac"):
        data = (tmp_path / f"whole.{form}").read_bytes()
        (tmp_path / f"cut.{form}").write_bytes(data[: len(data) * 2 // 3])
    of, source = effect(Smoother(), 0.1), tmp_path / name
    uncut = process_file(source, tmp_path / "uncut.wav", of)
    done = cuts.join(source, tmp_path / "out.wav", of, *pieces(source, tmp_path, of, 0.7))

    assert done.partial == uncut.partial != ""
    assert close(read(tmp_path / "uncut.wav"), read(tmp_path / "out.wav"))


def test_the_file_is_that_of_the_uncut_run(tmp_path, rng):
    """Format, tags, rate and length by the same rules, to the byte if the net changes nothing."""
    source, of = tmp_path / "in.flac", effect(Identity(), 0.1)
    write(source, noise(rng, 2, 100_000), 44_100, "FLAC", "PCM_24")
    uncut = process_file(source, tmp_path / "uncut.flac", of)
    done = cuts.join(source, tmp_path / "out.flac", of, *pieces(source, tmp_path, of, 0.5))
    assert (tmp_path / "out.flac").read_bytes() == (tmp_path / "uncut.flac").read_bytes()
    assert (done.frames, done.latency, done.subtype) == (100_000, uncut.latency, "PCM_24")
    assert tell_files(tmp_path) == ["in.flac", "out.flac", "uncut.flac"]


def test_a_run_that_was_killed_goes_on_with_the_pieces_that_are_there(
    run, tmp_path, rng, monkeypatch
):
    """They are whole, and named by the digest; what else is with them is removed in the end."""
    source = tmp_path / "in.wav"
    write(source, noise(rng, 1, 4 * 48_000))
    made: list[float] = []
    make, most = cuts.piece, [1.1, np.inf]

    def piece(source, of, cut, target, watch):
        def killed(seconds):
            made.append(seconds)
            if sum(made) > most[0]:
                raise KeyboardInterrupt
            watch(seconds)

        make(source, of, cut, target, killed)

    monkeypatch.setattr(cuts, "piece", piece)
    with pytest.raises(KeyboardInterrupt):
        run(source, tmp_path / "out.wav", Smoother(), 1)
    (folder,) = (path for path in tmp_path.iterdir() if path.name.startswith(".rtdenoise-"))
    key = folder.name.removeprefix(".rtdenoise-").removesuffix(".pieces")
    first = cuts.plan(source, effect(Smoother(), 0.1), 1.0)[0]
    assert tell_files(folder) == [first.name(key)]
    (folder / "old-0-end.w64").write_bytes(b"of another model")

    made.clear()
    most.pop(0)
    assert run(source, tmp_path / "out.wav", Smoother(), 1)["status"] == "done"
    assert sum(made) == pytest.approx(3.0, abs=0.1)
    assert tell_files(tmp_path) == ["in.wav", "out.wav"]


def test_a_recording_that_changes_meanwhile_is_an_error(tmp_path, rng):
    """The pieces are of the old one: nothing is written, and they stay."""
    source, of = tmp_path / "in.wav", effect(Smoother(), 0.1)
    write(source, noise(rng, 1, 2 * 48_000))
    planned, files = pieces(source, tmp_path, of, 1.0)
    write(source, noise(rng, 1, 3 * 48_000))
    with pytest.raises(AudioError, match=r"it was changed while it was processed$"):
        cuts.join(source, tmp_path / "out.wav", of, planned, files)
    assert not (tmp_path / "out.wav").exists()
    assert all(file.exists() for file in files)


def test_a_net_that_fails_in_a_piece_writes_nothing(run, tmp_path, rng):
    """The error is that of the uncut run, and the other pieces are removed."""
    source = tmp_path / "in.wav"
    write(source, noise(rng, 1, 4 * 48_000))
    line = run(source, tmp_path / "out.wav", Breaks(90))
    assert (line["status"], line["problem"]) == ("failed", Problem.NET_FAILED)
    assert re.search(r"failed on .*in\.wav.*nothing was written", line["error"])
    assert tell_files(tmp_path) == ["in.wav"]


@pytest.mark.parametrize(("name", "says"), [("out.wav", "exists"), ("out.mp3", "cannot hold")])
def test_an_output_that_cannot_be_written_is_refused_before_the_work(
    name, says, run, tmp_path, rng, monkeypatch
):
    """As without cuts, and nothing is left of it."""
    monkeypatch.delattr(cuts, "piece")
    source = tmp_path / "in.wav"
    write(source, noise(rng, 3, 2 * 48_000))
    write(tmp_path / "out.wav", noise(rng, 1, 10))
    line = run(source, tmp_path / name, Breaks(1))
    assert line["status"] == "failed"
    assert says in line["error"]
    assert tell_files(tmp_path) == ["in.wav", "out.wav"]
