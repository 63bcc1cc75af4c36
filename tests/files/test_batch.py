"""Plans of batches: how outputs are named, and which inputs are left out or refused."""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path

import pytest

from rtdenoise.errors import AudioError, Problem, UsageError
from rtdenoise.files.batch import Naming, plan
from rtdenoise.sound.inputs import check_readable


def tree(folder, *names):
    """Empty files that only have names."""
    for name in names:
        path = Path(folder, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def pairs(root, inputs, recursive=False, **naming):
    """(input, output) of each job, relative to *root*."""
    made = plan([str(Path(root, i)) for i in inputs], Naming(**naming), recursive)
    return [
        tuple(os.path.relpath(name, root) for name in (job.source, job.target)) for job in made.jobs
    ]


def test_outputs_are_named_after_their_inputs(tmp_path):
    """Beside the input with .denoised; in a folder under its own name; or as told."""
    tree(tmp_path, "a.wav", "b.c.flac")
    out = str(tmp_path / "out")
    assert pairs(tmp_path, ["a.wav"]) == [("a.wav", "a.denoised.wav")]
    assert pairs(tmp_path, ["b.c.flac"], suffix="-x") == [("b.c.flac", "b.c-x.flac")]
    assert pairs(tmp_path, ["a.wav"], folder=out) == [("a.wav", "out/a.wav")]
    assert pairs(tmp_path, ["a.wav"], folder=out, suffix=".x") == [("a.wav", "out/a.x.wav")]


def test_folders_and_globs_are_mirrored_without_the_results_of_an_earlier_run(tmp_path):
    """A second run over the same folder finds the same inputs."""
    tree(tmp_path, "t/a.wav", "t/b/c.mp3", "t/b/no.txt", "t/.hidden/x.wav", "t/a.denoised.wav")
    tree(tmp_path, "u/a.wav", "t/out/a.wav")
    out = str(tmp_path / "t" / "out")
    expected = [("t/a.wav", "t/out/a.wav"), ("t/b/c.mp3", "t/out/b/c.mp3")]
    assert pairs(tmp_path, ["t"], True, folder=out, force=True) == expected
    assert pairs(tmp_path, ["t/**/[a-c].*"], folder=out, force=True)[0] == expected[0]
    several = pairs(tmp_path, ["t/b", "u"], True, folder=str(tmp_path / "o"))
    assert several == [("t/b/c.mp3", "o/b/c.mp3"), ("u/a.wav", "o/u/a.wav")]
    tree(tmp_path, "odd[1].wav")
    assert pairs(tmp_path, ["odd[1].wav", "./odd[1].wav"]) == [
        ("odd[1].wav", "odd[1].denoised.wav")
    ]


def test_contradictions_are_refused_before_anything_is_touched(tmp_path):
    """One output for two inputs, by -o or by name."""
    tree(tmp_path, "a/x.wav", "b/x.wav")
    with pytest.raises(UsageError, match=r"both be written to .*x\.wav"):
        pairs(tmp_path, ["a/x.wav", "b/x.wav"], folder="out")
    with pytest.raises(UsageError, match=r"the output y\.wav is one file, but there are 2"):
        pairs(tmp_path, ["a/x.wav", "b/x.wav"], output="y.wav")
    with pytest.raises(UsageError, match="wanted one of them"):
        pairs(tmp_path, ["a/x.wav"], output="y.wav", folder="out")


def refused(made):
    """The problems of the jobs that are refused, by the name of their input."""
    return {Path(job.source).name: error.problem for job, error in made.failed}


def test_an_input_is_never_the_output_of_another(tmp_path, monkeypatch):
    """Not even by force: what the user named, and what the jobs read, stays as it is."""
    monkeypatch.chdir(tmp_path)
    tree(tmp_path, "x/a.wav", "y/a.wav", "take.wav", "take2.wav", "clean/take.wav", "ref.wav")
    with pytest.raises(UsageError, match="would both be written"):
        plan(["x/a.wav", "y/a.wav"], Naming(folder="y", force=True))
    made = plan(["take.wav", "take2.wav"], Naming(suffix="2", force=True))
    assert refused(made) == {"take.wav": Problem.INPUT}
    assert [job.target for job in made.jobs] == ["take22.wav"]

    for read in ("ref.wav", "./ref.wav", str(tmp_path / "ref.wav")):
        made = plan(["take.wav"], Naming(output="ref.wav", force=True), also_read=[read])
        assert refused(made) == {"take.wav": Problem.INPUT}
    made = plan(["take.wav"], Naming(folder="clean", force=True), also_read=["clean"])
    assert refused(made) == {"take.wav": Problem.INPUT}
    made = plan(["take2.wav"], Naming(folder="clean", force=True), also_read=["clean"])
    assert not made.failed

    second = Naming(output="new.wav", second=lambda _: "take.wav", force=True)
    assert refused(plan(["take.wav"], second)) == {"take.wav": Problem.INPUT}
    (tmp_path / "link.wav").symlink_to("take.wav")
    assert refused(plan(["take2.wav", "take.wav"], Naming(folder="y", force=True))) == {}
    made = plan(["take2.wav"], Naming(output="link.wav", force=True), also_read=["take.wav"])
    assert refused(made) == {"take2.wav": Problem.INPUT}


def test_only_force_lets_an_output_replace_its_own_input(tmp_path, monkeypatch):
    """That is how one works in place."""
    monkeypatch.chdir(tmp_path)
    tree(tmp_path, "a.wav")
    assert refused(plan(["a.wav"], Naming(output="./a.wav"))) == {"a.wav": Problem.ITSELF}
    force = Naming(output="./a.wav", force=True)
    assert len(plan(["a.wav"], force).jobs) == 1
    assert refused(plan(["a.wav"], force, also_read=["a.wav"])) == {"a.wav": Problem.INPUT}


def test_results_that_a_shell_names_are_left_out(tmp_path, monkeypatch):
    """`*.wav` of a shell holds the results of the last run."""
    monkeypatch.chdir(tmp_path)
    tree(tmp_path, "a.wav", "a.denoised.wav")
    made = plan(["a.denoised.wav", "a.wav"], Naming(force=True))
    assert made.left_out == ["a.denoised.wav"]
    assert [job.source for job in made.jobs] == ["a.wav"]


def test_second_outputs_are_planned_like_the_first(tmp_path, monkeypatch):
    """Pictures of a.wav and a.flac differ; one name for two, or an existing one, is refused."""
    monkeypatch.chdir(tmp_path)
    tree(tmp_path, "a.wav", "a.flac")
    picture = Naming(second=lambda target: f"{target}.png")
    made = plan(["a.wav", "a.flac"], picture)
    assert [job.second for job in made.jobs] == ["a.denoised.wav.png", "a.denoised.flac.png"]
    with pytest.raises(UsageError, match=r"would both be written to one\.png"):
        plan(["a.wav", "a.flac"], Naming(second=lambda _: "one.png"))
    tree(tmp_path, "a.denoised.wav.png")
    assert refused(plan(["a.wav", "a.flac"], picture)) == {"a.wav": Problem.EXISTS}


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("take1", "take1-denoised"),  # .denoised would be taken for a format
        (".wav", ".wav-denoised"),
        ("./-", "--denoised"),
        (" .wav", " .denoised.wav"),
        ("-x.wav", "-x.denoised.wav"),
        ("a\nb.wav", "a\nb.denoised.wav"),
        ("\udce9.wav", "\udce9.denoised.wav"),
        ("~.wav", "~.denoised.wav"),
    ],
)
def test_every_name_gets_a_name(source, target):
    """No suffix, dashes, spaces, line ends, bytes that are no UTF-8."""
    assert Naming().target(source, "") == target
    assert Naming(suffix="").target("./-", "") == "./-"  # a file, and not stdout


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("", "an empty name"),
        (".", r"\. is a folder"),
        ("..", r"\.\. is a folder"),
        ("x*.wav", "no file matches"),
        ("new\nline*", r"no file matches new\\nline"),
    ],
)
def test_odd_inputs_are_one_line_each_and_the_others_go_on(name, says, tmp_path, monkeypatch):
    """The plan has the rest."""
    monkeypatch.chdir(tmp_path)
    tree(tmp_path, "a.wav")
    made = plan([name, "a.wav"], Naming())
    ((_, error),) = made.failed
    assert re.search(says, str(error))
    assert "\n" not in str(error)
    assert [job.source for job in made.jobs] == ["a.wav"]


@pytest.mark.parametrize("naming", [Naming(output=""), Naming(folder="")])
def test_an_output_without_a_name_is_refused(naming, tmp_path):
    """As from an unset variable of a shell."""
    with pytest.raises(UsageError, match="empty name"):
        plan([str(tmp_path / "a.wav")], naming)


def test_folders_tell_what_was_not_read(tmp_path, monkeypatch):
    """Sound and video of other formats, and links to folders; a text is no sound."""
    monkeypatch.chdir(tmp_path)
    tree(tmp_path, "t/a.wav", "t/b.dsf", "t/deep/c.VOB", "t/d.txt", "t/.hidden.vob", "u/e.dff")
    (tmp_path / "t" / "up").symlink_to("..")
    made = plan(["t"], Naming(), recursive=True)
    assert sorted(made.unread) == ["t/b.dsf", "t/deep/c.VOB", "t/up"]
    assert not made.failed
    (_, error), *_ = plan(["u"], Naming(), recursive=True).failed
    assert "1 .dff" in str(error)


@pytest.mark.skipif(os.name != "posix", reason="mode bits are POSIX")
def test_a_folder_that_cannot_be_searched_is_told():
    """The others are searched."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        root.chmod(0o755)
        tree(root, "t/a.wav", "t/shut/b.wav")
        (root / "t" / "shut").chmod(0)
        if os.geteuid() == 0:
            os.seteuid(65_534)
        try:
            made = plan([str(root / "t")], Naming(), recursive=True)
        finally:
            if os.getuid() == 0:
                os.seteuid(0)
            (root / "t" / "shut").chmod(0o755)
        assert [Path(job.source).name for job in made.jobs] == ["a.wav"]
        ((_, error),) = made.failed
        assert re.search(r"cannot search \S*shut: permission denied", str(error))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes with names are POSIX")
def test_what_is_no_file_is_never_opened(tmp_path):
    """A pipe would hang the run; nor is one written to whose name only a rule gives."""
    os.mkfifo(tmp_path / "pipe.wav")
    (tmp_path / "dangling.wav").symlink_to("/nowhere/x.wav")
    (tmp_path / "loop.wav").symlink_to("loop.wav")
    tree(tmp_path, "a.wav")
    os.mkfifo(tmp_path / "a.denoised.wav")
    assert refused(plan([f"{tmp_path}/a.wav"], Naming(force=True))) == {"a.wav": Problem.EXISTS}
    for name, says in {
        "pipe.wav": "is a pipe",
        "dangling.wav": "is a link to /nowhere/x.wav, which does not exist",
        "loop.wav": "symbolic links",
        "a.wav/": "not a directory",
        "a.wav/b.wav": "not a directory",
        "": "is a folder",
        "n" * 256: "name too long",
        "a.wave": r"no file \S*a\.wave\. Did you mean a\.wav\?",
        "x/y.wav": "Check the name and the folder",
    }.items():
        with pytest.raises(AudioError, match=says):
            check_readable(f"{tmp_path}/{name}")
    with pytest.raises(AudioError, match="is a device"):
        check_readable("/dev/zero")
    check_readable(tmp_path / "a.wav")
