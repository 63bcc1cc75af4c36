"""The results log: what it knows, what it survives, and how its parts become one."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from contextlib import contextmanager

import pytest
from hypothesis import given, settings, strategies as st

from rtdenoise.errors import Problem, UsageError
from rtdenoise.files.digest import digest, of_file, of_tree, of_values
from rtdenoise.files.results import ResultsLog, finite


def line(name, status="done", **more):
    """A line about the input *name*."""
    return {"input": f"in/{name}", "output": f"out/{name}", "status": status, **more}


def kept(path):
    """The lines of a merged log."""
    return [json.loads(text) for text in path.read_text().splitlines()]


def wrote(path, *lines, shard="", worker="run"):
    """Append lines to a part, as a run does."""
    log = ResultsLog(path, shard)
    with log.part(worker) as part:
        for one in lines:
            part.write(one)
    return log


def known(log, name):
    """What a log knows of an output that this run has not claimed yet."""
    found = log.claim(f"out/{name}", f"in/{name}")
    assert found is not None
    return found


def test_the_last_line_of_each_output_stays_sorted_by_the_inputs(tmp_path):
    """Parts go, what was skipped is not kept, and a name that is no UTF-8 comes back."""
    path = tmp_path / "l.jsonl"
    odd = "\udce9 \n.wav"
    wrote(path, line("b", "failed"), line("a", key="1"), line(odd), line("c", "skipped"))
    wrote(path, line("b", key="2"), {"input": "none*", "output": "", "status": "failed"})
    assert ResultsLog(path).merge()

    assert [one["input"] for one in kept(path)] == ["in/a", "in/b", f"in/{odd}", "none*"]
    assert kept(path)[1]["key"] == "2"
    assert [file.name for file in tmp_path.iterdir()] == ["l.jsonl"]
    log = ResultsLog(path)
    assert log.counts() == {"done": 3, "failed": 1}
    assert [one["input"] for one in log.failed()] == ["none*"]
    assert known(log, "a").key == "1"
    assert not log.merge()


@settings(max_examples=15, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from(["done", "failed"]), st.booleans()))
)
def test_merging_often_is_merging_once(tmp_path_factory, story):
    """Whenever the parts are merged, the log says the same at the end."""
    often, once = (tmp_path_factory.mktemp("logs") / "l.jsonl" for _ in range(2))
    last = {}
    for number, (name, status, merges) in enumerate(story):
        last[name] = line(name, status, number=number)
        wrote(often, last[name])
        wrote(once, last[name])
        if merges:
            ResultsLog(often).merge()
    for path in (often, once):
        ResultsLog(path).merge()
        assert not story or kept(path) == [last[name] for name in sorted(last)]


def test_a_torn_line_costs_itself_only(tmp_path):
    """As kill -9 leaves it; what follows begins a line of its own."""
    path = tmp_path / "l.jsonl"
    wrote(path, line("a"))
    (part,) = ResultsLog(path).parts()
    with part.open("a") as file:
        file.write('{"input": "in/b", "output": "out/b", "sta')
    assert ResultsLog(path).counts() == {"done": 1}
    wrote(path, line("c"))
    with part.open("ab") as file:
        file.write(b"\xff\0not JSON\n[1]\n" + b"x" * 99)
    ResultsLog(path).merge()

    assert [one["input"] for one in kept(path)] == ["in/a", "in/c"]


def test_what_a_log_has_begun_is_its_own(tmp_path):
    """Even if no line tells that it is there; another file is not."""
    path = tmp_path / "l.jsonl"
    log = ResultsLog(path)
    log.begin("out/a")
    log.part().close()
    log = ResultsLog(path)
    assert known(log, "a").made
    assert not known(log, "b").made
    wrote(path, line("a", "failed"))
    assert known(ResultsLog(path), "a").made


def test_an_output_is_claimed_once(tmp_path):
    """The same input again is no item; another input with this output is a fault."""
    log = ResultsLog(None)
    assert log.claim("out/a", "in/a") is not None
    assert log.claim("out/a", "in/a") is None
    with pytest.raises(UsageError, match=r"in/b and another input .* out/a") as error:
        log.claim("out/a", "in/b")
    assert error.value.problem is Problem.SAME_OUTPUT


def test_shards_are_merged_by_the_last_to_end(tmp_path):
    """Not while one is missing, runs or was killed."""
    path = tmp_path / "l.jsonl"
    for number in (0, 2):
        wrote(path, line(f"{number}"), shard=f"{number}of3")
        assert not ResultsLog(path).merge()
    log = ResultsLog(path, "1of3")
    log.part().write(line("1"))
    assert not ResultsLog(path).merge()
    log.part().close(ended=False)
    assert not ResultsLog(path).merge()
    assert wrote(path, line("1b"), shard="1of3").merge()
    assert [one["input"] for one in kept(path)] == ["in/0", "in/1", "in/1b", "in/2"]


def test_two_runs_never_write_one_part(tmp_path):
    """And what another run writes is not merged away from it."""
    path = tmp_path / "l.jsonl"
    log = ResultsLog(path)
    log.part().write(line("a"))
    code = (
        "import sys\nfrom rtdenoise.files.results import ResultsLog\n"
        "log = ResultsLog(sys.argv[1])\nassert not log.merge()\nlog.part()"
    )
    run = [sys.executable, "-c", code, str(path)]
    done = subprocess.run(run, capture_output=True, text=True, check=False)
    assert "UsageError: another run writes" in done.stderr
    log.part().close()
    assert log.merge()


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("", "is a folder, wanted a file"),
        ("no/l.jsonl", "there is no folder .*no. Create it: mkdir -p"),
        ("file/l.jsonl", "file is a file, no folder"),
        ("/dev/full", "is no file, wanted a file"),
    ],
)
def test_a_log_that_cannot_be_is_told_before_any_work(name, says, tmp_path):
    """A folder, a missing folder, a device."""
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match=says):
        ResultsLog(tmp_path / name)


@contextmanager
def files_of_at_most(size):
    """No file of this process grows beyond *size* bytes, as with `ulimit -f` or on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def fill(log, written):
    """Write lines for ever."""
    while True:
        log.part().write(line(f"{len(written):04}"))
        written.append(len(written))


def test_a_full_disk_ends_the_run_and_loses_no_line(tmp_path):
    """Neither while lines are written, nor while parts are merged."""
    path = tmp_path / "l.jsonl"
    log = ResultsLog(path)
    written: list[int] = []
    with files_of_at_most(4096), pytest.raises(UsageError, match="cannot write the log"):
        fill(log, written)
    log.part().close()
    with files_of_at_most(1000), pytest.raises(UsageError, match="cannot write the log"):
        log.merge()
    assert not path.exists()
    assert log.merge()
    assert len(kept(path)) == len(written) > 10


def test_a_digest_is_of_contents_and_not_of_names(tmp_path):
    """Of a file, of a folder that moved, of values in any order."""
    (tmp_path / "a").write_bytes(b"x" * 300_000)
    (tmp_path / "t" / "u").mkdir(parents=True)
    (tmp_path / "t" / "u" / "b").write_bytes(b"y")
    file, tree = of_file(tmp_path / "a"), of_tree(tmp_path / "t")
    (tmp_path / "a").rename(tmp_path / "c")
    (tmp_path / "t").rename(tmp_path / "s")
    assert (of_file(tmp_path / "c"), of_tree(tmp_path / "s")) == (file, tree)
    (tmp_path / "s" / "u" / "b").write_bytes(b"z")
    assert of_tree(tmp_path / "s") != tree
    assert of_values({"a": 1, "b": [2.5, None]}) == of_values({"b": [2.5, None], "a": 1})


def test_each_part_of_a_key_changes_it():
    """The input, the model, a setting, its value and its type."""
    keys = [
        digest("a", "m", {"mix": 50.0}),
        digest("b", "m", {"mix": 50.0}),
        digest("a", "n", {"mix": 50.0}),
        digest("a", "m", {"mix": 51.0}),
        digest("a", "m", {"mix": None}),
        digest("a", "m", {}),
        digest("am", "", {"mix": 50.0}),
    ]
    assert len(set(keys)) == len(keys)


def test_json_has_no_nan():
    """Scores of silence are infinite."""
    assert finite({"a": {"b": float("inf")}, "c": float("nan"), "d": 1.5}) == {
        "a": {"b": None},
        "c": None,
        "d": 1.5,
    }
