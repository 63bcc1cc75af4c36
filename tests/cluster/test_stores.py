"""Archives in S3: a moto server on loopback, and s3fs. What is not S3 is here as well: HTTP."""

from __future__ import annotations

import http.server
import json
import sys
import threading
from functools import partial
from pathlib import Path

import pytest

from rtdenoise.cli import main
from rtdenoise.cluster import store
from rtdenoise.errors import AudioError, UsageError
from tests.sounds import noise, read, write
from tests.toy_nets import Smoother, save

boto3 = pytest.importorskip("boto3", reason="needs boto3 (moto, flask and flask-cors)")
moto = pytest.importorskip("moto.server", reason="needs moto, flask and flask-cors")
pytest.importorskip("s3fs", reason="needs s3fs")

SECRET = "s3cr3t-key"
ODD = "x/b c%20#?+[1] ü'.wav"
KEYS = ["a.wav", ODD, "x/a.wav", "x/.hidden.wav", "notes.txt", "x/"]


@pytest.fixture(scope="module")
def s3():
    """A client of a store of its own, which the environment of this process points to."""
    server = moto.ThreadedMotoServer(port=0, verbose=False)
    server.start()
    _, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
        patch.setenv("AWS_ACCESS_KEY_ID", "me")
        patch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        store._made.cache_clear()
        yield boto3.client("s3")
        store._made.cache_clear()
    server.stop()


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """The path of a net with memory."""
    return str(save(Smoother(), tmp_path_factory.mktemp("models") / "net.pt"))


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A working folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def bucket(s3, here, rng):
    """The name of a new bucket with recordings below `in`."""
    name = f"b{abs(hash(str(here))) % 10**12}"
    s3.create_bucket(Bucket=name)
    for number, key in enumerate(KEYS):
        write(here / "t.wav", noise(rng, 1, 3000 + 100 * number), 16_000, subtype="PCM_16")
        s3.put_object(Bucket=name, Key=f"in/{key}", Body=(here / "t.wav").read_bytes())
    (here / "t.wav").unlink()
    return name


def held(s3, bucket, prefix):
    """The bytes of all objects below a prefix."""
    found = s3.list_objects_v2(Bucket=bucket, Prefix=prefix).get("Contents", [])
    return {
        one["Key"].removeprefix(prefix): s3.get_object(Bucket=bucket, Key=one["Key"])["Body"].read()
        for one in found
    }


def counts(err):
    """(done, skipped, failed)."""
    words = err.splitlines()[-1].split(";")[0].replace(",", "").split()
    return tuple(map(int, words[::2]))


def test_a_tree_of_a_store_is_as_one_of_a_disk(s3, bucket, here, model, capsys):
    """Odd keys included; the outputs are the same bytes; an equal run skips all."""
    for key, data in held(s3, bucket, "in/").items():
        if not key.endswith("/"):
            path = here / "in" / key
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
    flags = ["-m", model, "--log", "l.jsonl"]
    assert main(["file", "-r", "in", "-O", "out", "-m", model, "-q"]) == 0
    words = ["file", "-r", f"s3://{bucket}/in", "-O", f"s3://{bucket}/out/", *flags]
    assert main(words) == 0
    assert counts(capsys.readouterr().err) == (3, 0, 0)
    made = held(s3, bucket, "out/")
    assert set(made) == {"a.wav", ODD, "x/a.wav"}
    assert all(made[key] == (here / "out" / key).read_bytes() for key in made)

    assert main(words) == 0
    assert counts(capsys.readouterr().err) == (0, 3, 0)
    Path("l.jsonl").unlink()  # the store knows by itself what made its objects
    assert main(words) == 0
    assert counts(capsys.readouterr().err) == (0, 3, 0)
    s3.put_object(Bucket=bucket, Key="in/a.wav", Body=made["x/a.wav"])
    assert main(words) == 0
    assert counts(capsys.readouterr().err) == (1, 2, 0)
    assert main([*words, "--mix", "50"]) == 0
    assert counts(capsys.readouterr().err) == (3, 0, 0)
    assert main(["file", "-r", f"s3://{bucket}/in/x", "-O", "x", *flags]) == 0
    assert counts(capsys.readouterr().err) == (2, 0, 0)
    assert read(here / "x" / "a.wav").shape == read(here / "in" / "x" / "a.wav").shape


def test_an_object_that_is_not_ours_stays(s3, bucket, here, model, capsys):
    """As a file does; one whose key is of another model is ours, and is made again."""
    s3.put_object(Bucket=bucket, Key="out/a.wav", Body=b"mine")
    words = ["file", f"s3://{bucket}/in/a.wav", "-O", f"s3://{bucket}/out", "-m", model]
    assert main(words) == 1
    assert "out/a.wav exists, and may not be replaced" in capsys.readouterr().err
    assert main([*words, "--skip-existing"]) == 0
    assert held(s3, bucket, "out/") == {"a.wav": b"mine"}
    assert main([*words, "-f", "-q"]) == 0
    first = held(s3, bucket, "out/")
    assert main([*words, "-q", "--residual"]) == 0
    assert held(s3, bucket, "out/") != first


def test_a_listing_is_read_a_page_at_a_time_while_it_changes(s3, bucket, monkeypatch):
    """No object is lost or comes twice that is there from the beginning to the end."""
    monkeypatch.setattr(store, "PAGE", 10)
    for number in range(35):
        s3.put_object(Bucket=bucket, Key=f"many/{number:02}.wav", Body=b"x")
    found = store.listing(f"s3://{bucket}/many/")
    names = [next(found)[0] for _ in range(3)]
    s3.delete_object(Bucket=bucket, Key="many/03.wav")
    s3.delete_object(Bucket=bucket, Key="many/33.wav")
    s3.put_object(Bucket=bucket, Key="many/00a.wav", Body=b"x")
    s3.put_object(Bucket=bucket, Key="many/34a.wav", Body=b"x")
    names += [name for name, _ in found]
    there = [f"{number:02}" for number in range(35) if number != 33] + ["34a"]
    assert names == [f"s3://{bucket}/many/{name}.wav" for name in there]


def test_manifests_may_be_in_the_store_and_name_what_is_there(s3, bucket, here, model, capsys):
    """With a line that is broken, an input that is missing, and an output with two inputs."""
    rows = [
        {"input": f"s3://{bucket}/in/{ODD}", "output": "odd.wav", "size": 1},
        {"input": f"s3://{bucket}/in/nosuch.wav"},
        {"input": f"s3://{bucket}/in/a.wav", "output": "odd.wav"},
        {"input": f"s3://{bucket}/in/x/a.wav"},
    ]
    text = "\n".join(map(json.dumps, rows)) + "\n{broken\n"
    s3.put_object(Bucket=bucket, Key="list.jsonl", Body=text.encode())
    words = ["file", "--manifest", f"s3://{bucket}/list.jsonl", "-O", f"s3://{bucket}/out"]
    assert main([*words, "-m", model, "--log", "l.jsonl"]) == 1
    err = capsys.readouterr().err
    assert counts(err) == (2, 0, 3)
    for says in ("there is no", "both be written to", "line 5: wanted a JSON object"):
        assert err.count(says) == 1
    assert set(held(s3, bucket, "out/")) == {"odd.wav", f"{bucket}/in/x/a.wav"}


def deny(s3, bucket, action):
    """Let nobody do this in a bucket."""
    rule = {"Effect": "Deny", "Principal": "*", "Action": action}
    rule["Resource"] = f"arn:aws:s3:::{bucket}/*"
    policy = {"Version": "2012-10-17", "Statement": [rule]}
    s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps(policy))


def told(words, capsys, lines=2):
    """What a run that fails says: a line, and the summary if work began; never the secret."""
    code = main(["file", *words])
    err = capsys.readouterr().err
    assert code in (1, 2)
    assert len(err.splitlines()) == lines, err
    assert SECRET not in err
    return err.splitlines()[0]


def test_a_store_that_refuses_is_one_line(s3, bucket, here, model, capsys):
    """No rights to write, or to read; no such bucket, object, folder or sound."""
    more = ["-O", "out", "-m", model]
    into = ["-O", f"s3://{bucket}/out", "-m", model]
    deny(s3, bucket, "s3:PutObject")
    assert "out/a.wav: access denied" in told([f"s3://{bucket}/in/a.wav", *into], capsys)
    assert held(s3, bucket, "out/") == {}
    deny(s3, bucket, "s3:GetObject")
    assert "in/a.wav: access denied" in told([f"s3://{bucket}/in/a.wav", *more], capsys)
    s3.delete_bucket_policy(Bucket=bucket)
    assert "no such bucket" in told(["s3://nosuch/a.wav", *more], capsys)
    assert "no such bucket" in told(["-r", "s3://nosuch/x", *more], capsys)
    nowhere = ["-O", "s3://nosuch/out", "-m", model]
    assert "no such bucket" in told([f"s3://{bucket}/in/a.wav", *nowhere], capsys, 1)
    assert "there is no object" in told([f"s3://{bucket}/no.wav", *more], capsys)
    assert "Add -r" in told([f"s3://{bucket}/in", *more], capsys)
    s3.put_object(Bucket=bucket, Key="texts/a.txt", Body=b"")
    assert "no sound files in" in told(["-r", f"s3://{bucket}/texts", *more], capsys)
    s3.put_object(Bucket=bucket, Key="e.wav", Body=b"")
    assert f"s3://{bucket}/e.wav is empty" in told([f"s3://{bucket}/e.wav", *more], capsys)
    assert not list(here.rglob("*.wav"))


@pytest.fixture
def away(s3, monkeypatch):
    """The environment, from which what is cached of the store is gone before and after."""
    store._made.cache_clear()
    yield monkeypatch
    monkeypatch.undo()
    store._made.cache_clear()


def test_a_store_that_is_not_there_is_one_line(bucket, away, here, model, capsys):
    """Before any work if the outputs go there; with the name of the address."""
    away.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    words = [f"s3://{bucket}/in/a.wav", "-m", model, "-O"]
    for place, lines in (("out", 2), (f"s3://{bucket}/out", 1)):
        assert "Could not connect" in told([*words, place], capsys, lines)


def test_missing_credentials_are_one_line(bucket, away, here, model, capsys):
    """And say whose tools set them up."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        away.delenv(name)
    away.setenv("AWS_EC2_METADATA_DISABLED", "true")
    away.setenv("HOME", str(here))
    line = told([f"s3://{bucket}/in/a.wav", "-m", model, "-O", "out"], capsys)
    assert "no credentials were found" in line


@pytest.mark.parametrize(
    ("missing", "url", "says"),
    [
        ("fsspec", "s3://b/a.wav", "pip install 'rtdenoise[cluster]'"),
        ("s3fs", "s3://b/a.wav", "pip install 'rtdenoise[cluster]'"),
        ("gcsfs", "gs://b/a.wav", "pip install gcsfs"),
        ("adlfs", "az://b/a.wav", "pip install adlfs"),
        ("adlfs", "abfs://b/a.wav", "pip install adlfs"),
    ],
)
def test_a_missing_extra_is_one_line(missing, url, says, away, here, model, capsys):
    """What to install, for an input and for an output."""
    away.setitem(sys.modules, missing, None)
    assert says in told([url, "-O", "out", "-m", model], capsys, 1)
    store._made.cache_clear()
    assert says in told(["a.wav", "-O", url, "-m", model], capsys, 1)


class Web(http.server.SimpleHTTPRequestHandler):
    """Files, a wrong length for `short`, and nothing for `secret`."""

    def log_message(self, *_):
        pass

    def send_header(self, name, value):
        if name == "Content-Length" and "short" in self.path:
            value = str(int(value) + 10)
        super().send_header(name, value)

    def do_GET(self):
        if "secret" in self.path:
            self.send_error(403)
        else:
            super().do_GET()


@pytest.fixture
def web(here):
    """The address of a server of the files in `www`."""
    (here / "www").mkdir()
    handler = partial(Web, directory=str(here / "www"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def test_inputs_by_http(web, here, model, rng, capsys):
    """By name and query; a wrong length, a refusal and a host that is not there are a line each."""
    for name in ("a b.wav", "short.wav"):
        write(here / "www" / name, noise(rng, 1, 3000), 16_000)
    more = ["-O", "out", "-m", model]
    assert main(["file", f"http://{web}/a%20b.wav?id=1", *more, "-q"]) == 0
    assert read(here / "out" / "a b.wav").shape == (1, 3000)
    assert "short.wav" in told([f"http://{web}/short.wav", *more], capsys)
    url = f"http://me:{SECRET}@{web}/secret.wav?X-Amz-Signature={SECRET}"
    line = told([url, *more, "--log", "l.jsonl"], capsys)
    assert f"http://***@{web}/secret.wav?X-Amz-Signature=***" in line
    assert "403" in line
    assert SECRET not in Path("l.jsonl").read_text()
    assert main(["file", "--retry-failed", "--log", "l.jsonl", *more]) == 1
    assert "Name the inputs again" in capsys.readouterr().err
    assert "there is no http" in told([f"http://{web}/no.wav", *more], capsys)
    assert "cannot read" in told(["http://127.0.0.1:1/a.wav", *more], capsys)
    assert "no folders" in told(["-r", f"http://{web}/www/", *more], capsys)


@pytest.mark.parametrize(
    "url",
    [
        f"s3://me:{SECRET}@bucket/a.wav",
        f"https://h/a.wav?X-Amz-Credential=me&X-Amz-Signature={SECRET}&id=7",
        f"https://h/a.wav?id=7&sig={SECRET}",
        f"https://h/a.wav?access_token={SECRET}",
        f"https://h/a.wav?AWSAccessKeyId=x&Signature={SECRET}",
        f"https://h/a.wav?x-goog-signature={SECRET}",
        f"cannot get 'https://u:{SECRET}@h/a?token={SECRET}'",
    ],
)
def test_what_opens_a_store_is_never_told(url):
    """And what does not stays, so that the name can be recognised; twice is once."""
    shown = store.redacted(url)
    assert SECRET not in shown
    assert "id=7" in shown or "id=7" not in url
    assert store.redacted(shown) == shown


def test_names_are_joined_and_split():
    """For paths and URLs."""
    assert store.join("s3://b/x", "a/b.wav") == "s3://b/x/a/b.wav"
    assert store.join("out", "a/b.wav") == str(Path("out", "a", "b.wav"))
    assert store.base_name("s3://b/x?y#z%20.wav") == "x?y#z%20.wav"
    assert store.local("file:///tmp/a%20b.wav") == "/tmp/a b.wav"
    assert store.join("file:///tmp/a%20b", "c.wav") == str(Path("/tmp/a b/c.wav"))
    with pytest.raises(UsageError, match="nothing can be written by HTTP"):
        store.check_folder("https://h/x")
    with pytest.raises(AudioError):
        list(store.listing("s3://nosuchbucket/"))
