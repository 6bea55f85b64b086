import pytest

from data_curation.plain_text import plain_text, words


@pytest.mark.parametrize(
    ("text", "copy"),
    [
        ("Who wrote “Emma”, Austen’s novel?", 'Who wrote "Emma", Austen\'s novel?'),
        ("Who wrote «Emma»?", 'who wrote "emma"'),
        ("The years 1939–1945 — which war?", "The years 1939-1945 - which war"),
        ("What is 3 − 2?", "What is 3 - 2"),
        ("What is 10⁻³ m?", "What is 10^-3 m?"),
        ("Where is the café?", "Where is the cafe\u0301?"),
        ("Ｗｈｏ？", "Who?"),
        ("Is it of\u00adﬁcial?", "Is it official?"),
        ("Name\u00a0the  river\n:", "name the river."),
        ("What?!", "What"),
        ("¿Quién es?", "Quién es"),
        ("中国的首都是哪里？", "中国的首都是哪里"),
        ("这是什么。", "这是什么?"),
        ("أين القاهرة؟", "أين القاهرة"),
    ],
)
def test_copies_are_equal(text: str, copy: str) -> None:
    assert plain_text(text) == plain_text(copy)


@pytest.mark.parametrize(
    ("text", "other"),
    [
        ("What is 5!?", "What is 5?"),
        ("What is (n + 1)!", "What is (n + 1)"),
        ("Derive n!", "Derive n"),
        ("What is 5²?", "What is 52?"),
        ("What is 0.3...?", "What is 0.3?"),
        ("What is 3 - 2?", "What is 3 + 2?"),
        ("Who is née Ek?", "Who is nee Ek?"),
        ("Is C# old?", "Is C old?"),
    ],
)
def test_what_differs_in_meaning_stays_different(text: str, other: str) -> None:
    assert plain_text(text) != plain_text(other)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Who is it?", ["who", "is", "it"]),
        ("It's 3.5 °C.", ["it", "'", "s", "3", ".", "5", "°", "c"]),
        ("中国的首都", list("中国的首都")),
        ("第2次DNAの複製", ["第", "2", "次", "dna", "の", "複", "製"]),
        ("한국의 수도", list("한국의수도")),
        ("?", []),
    ],
)
def test_words(text: str, expected: list[str]) -> None:
    assert words(text) == expected
