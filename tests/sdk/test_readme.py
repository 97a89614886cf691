"""The README's commands do what they say, on this build."""

import re
import shlex
import subprocess

import pytest

from conftest import ROOT, binary

README = (ROOT / "README.md").read_text()


def commands():
    """Every command line of the README's shell blocks, continuation lines joined."""
    for block in re.findall(r"```(?:sh|bash|console|shell)\n(.*?)```", README, re.S):
        for line in block.replace("\\\n", " ").splitlines():
            line = line.removeprefix("$ ").strip()
            if line and not line.startswith("#"):
                yield line


def test_the_two_commands_that_do_everything_are_there():
    lines = list(commands())
    assert any(line.startswith("cargo run --release") for line in lines)
    assert any(line.startswith("./test") for line in lines)
    assert any(line.startswith("curl") for line in lines)


def test_every_curl_is_answered(zero):
    asked = [line for line in commands() if line.startswith("curl")]
    for line in asked:
        local = re.sub(r"(http://)?(127\.0\.0\.1|localhost):4000", zero.url, line).split(" #")[0]
        words = shlex.split(local)
        done = subprocess.run(
            ["curl", "-sS", "--fail-with-body", "--max-time", "20", *words[1:]], capture_output=True, text=True
        )
        assert done.returncode == 0 and done.stdout, f"{line}\n{done.stdout}\n{done.stderr}"


def test_the_snippets_of_python_lead_here(zero):
    for block in re.findall(r"```python\n(.*?)```", README, re.S):
        names = {}
        for part in re.split(r"\n\n", block.replace("http://127.0.0.1:4000", zero.url)):
            exec(part, names)
            listed = names["client"].models.list()
            assert listed.data


def test_every_subcommand_and_flag_exists():
    for line in commands():
        words = shlex.split(line.split(" #")[0])
        if words[:2] == ["cargo", "run"] and "--" in words:
            words = ["nowait", *words[words.index("--") + 1 :]]
        while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
            words = words[1:]
        if not words or words[0].rsplit("/", 1)[-1] != "nowait":
            continue
        sub = [word for word in words[1:2] if not word.startswith("-")]
        shown = subprocess.run([binary(), *sub, "--help"], capture_output=True, text=True, timeout=20)
        assert shown.returncode == 0, f"{line}\n{shown.stderr}"
        for flag in (word.split("=")[0] for word in words[1:] if word.startswith("--")):
            assert flag in shown.stdout, f"{line}: no {flag} in its --help"


@pytest.mark.parametrize("sub", [[], ["serve"], ["check"], ["explain"], ["sim"], ["init"]])
def test_help_is_short_and_has_an_example(sub):
    shown = subprocess.run([binary(), *sub, "--help"], capture_output=True, text=True, timeout=20)
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "xample" in shown.stdout and len(shown.stdout.splitlines()) < 60


def test_version_and_exit_codes(tmp_path):
    version = subprocess.run([binary(), "--version"], capture_output=True, text=True, timeout=20)
    assert version.returncode == 0 and version.stdout.startswith("nowait ")
    wrong = subprocess.run([binary(), "--no-such-flag"], capture_output=True, timeout=20)
    assert wrong.returncode == 2
    bad = tmp_path / "bad.toml"
    bad.write_text("[server]\nlisten = 7\nmax_bdy = 3\n")
    checked = subprocess.run([binary(), "check", "--config", bad], capture_output=True, text=True, timeout=20)
    said = checked.stdout + checked.stderr
    assert checked.returncode == 1
    assert "bad.toml:2" in said and "bad.toml:3" in said and "max_body" in said
