"""Tests of path_pattern.py: what matches, and how long a hostile path takes."""

from __future__ import annotations

import random
import re
import time

import pytest

from eci_convert.rootfs import path_pattern
from eci_convert.rootfs.path_pattern import compile_pattern


@pytest.mark.parametrize("stars", ["", "**/*/../**"], ids=["expression", "automaton"])
def test_a_class_of_characters_does_not_match_a_slash(stars: str) -> None:
    matches = compile_pattern(f"a[!b]c{stars}/d")
    rest = stars.replace("*", "x")

    assert matches(f"/axc{rest}/d")
    assert not matches(f"/a/c{rest}/d")


@pytest.mark.parametrize(
    ("pattern", "path", "end"),
    [
        ("**/**/**/**/x", "/a" * 200, "/x"),
        ("**/usr/**/lib/**/bin/**/x", "/usr/lib/bin" * 300, "/x"),
        ("*a*a*a*a*b", "/" + "a" * 255, "b"),
        ("**a**b", "/" + "a" * 4095, "b"),
        ("a**b**c**d", "/" + "abc" * 1300, "d"),
        ("/a/**/*c*?*", "/a" + "/b" * 2000, "/cd"),
        ("[a]**?**[!/]*/x", "/" + "a" * 4000, "/x"),
        ("**/*" * 1000 + "x", "/a" * 1900, "x"),
    ],
)
def test_a_path_in_an_image_does_not_keep_a_pattern_busy(pattern: str, path: str, end: str) -> None:
    matches = compile_pattern(pattern)
    started = time.process_time()

    assert not matches(path)
    assert matches(path + end)
    assert time.process_time() - started < 1


@pytest.mark.parametrize("seed", range(10))
def test_the_automaton_agrees_with_the_expression(seed: int) -> None:
    maker = random.Random(seed)
    words = ["a", "b", "/", "*", "**", "**/", "/**/", "?", "[ab]", "[!a]", "é"]
    for _ in range(100):
        tokens = path_pattern._TOKENS.findall("".join(maker.choice(words) for _ in range(maker.randint(1, 7))))
        expression = re.compile("".join(map(path_pattern._expression, tokens)), re.DOTALL)
        matches = path_pattern._by_automaton(tokens)
        for _ in range(20):
            text = "".join(maker.choice("aabé/") for _ in range(maker.randint(0, 9)))
            assert matches(text) == bool(expression.fullmatch(text)), (tokens, text)


def test_characters_beyond_those_that_are_remembered_match_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(path_pattern, "_MAX_REMEMBERED", 2)
    matches = path_pattern._by_automaton(["*", "é", "*", "?", "*"])

    assert matches("abcdefégh")
    assert not matches("abcdefgh")
