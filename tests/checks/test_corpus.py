"""What once broke a parser, and what might: `scripts/fuzz.py` begins with these files; here they are parsed again."""

from pathlib import Path

import pytest
from support.scripts import CHECKS, load_check

fuzz = load_check("fuzz")


READ = "    text = path.read_bytes()"  # a line of the script


@pytest.mark.parametrize("parser", [name for name in fuzz.PARSERS if name != "safetensors"])  # which imports PyTorch
def test_each_file_is_parsed_or_refused_in_a_sentence(parser: str) -> None:
    assert fuzz.replay(parser) == []


def test_the_corpus_is_small() -> None:
    assert sum(file.stat().st_size for file in fuzz.CORPUS.rglob("*") if file.is_file()) < 300_000


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("os.kill(os.getpid(), 11)", "death by 11"), ("while True: pass", "hang"),
        ("bytearray(2 * MEMORY)", "MemoryError"), ("1 / 0", "ZeroDivisionError"),
    ],
)  # fmt: skip
def test_what_goes_wrong_is_seen(code: str, words: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """By a script whose parser misbehaves at some files."""
    script = (CHECKS / "fuzz.py").read_text("utf-8")
    assert READ in script
    (tmp_path / "bad.py").write_text(script.replace(READ, f'    if path.suffix == ".bad":\n        {code}\n{READ}'))
    monkeypatch.setattr(fuzz, "BUSY", 0.3)
    monkeypatch.setattr(fuzz, "__file__", str(tmp_path / "bad.py"))
    monkeypatch.setenv("FUZZ_CORPUS", str(fuzz.CORPUS))
    child = fuzz.Child("look")
    assert not child.parse(fuzz.Input(b"none", ".txt"))["fault"]
    assert words in child.parse(fuzz.Input(b"none", ".bad"))["fault"]
    child.close()
