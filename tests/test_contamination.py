"""Texts that share 13 words in a row with an evaluation are found, with the evidence."""

import pytest

from crawl.contamination import Evaluation, find_contamination, index_evaluations

QUESTION = "Which of these trees keeps its leaves all winter long, even under deep snow and ice?"
INDEX = index_evaluations(
    [
        Evaluation("quiz.jsonl, line 1", "Too short to be found."),
        Evaluation("quiz.jsonl, line 2", QUESTION),
        Evaluation("copy.jsonl, line 1", QUESTION),
    ]
)


@pytest.mark.parametrize(
    ("text", "evidence"),
    [
        (
            f"He asked: {QUESTION.upper()} Nobody knew.",
            "which of these trees keeps its leaves all winter long even under deep (quiz.jsonl, line 2)",
        ),
        (
            "which of these trees — keeps its leaves (all winter) long even under DEEP, soft snow",
            "which of these trees keeps its leaves all winter long even under deep (quiz.jsonl, line 2)",
        ),
        ("which of these trees keeps its leaves all winter long even under soft snow and ice", None),
        ("Too short to be found.", None),
        ("", None),
    ],
)
def test_shared_n_grams_are_found(text: str, evidence: str | None) -> None:
    assert find_contamination(text, INDEX) == evidence


def test_nothing_is_found_where_there_is_nothing_to_find() -> None:
    assert find_contamination(QUESTION, index_evaluations([])) is None
