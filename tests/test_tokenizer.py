"""Words and bytes become ids and come back."""

import tarfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import tokenizers
from hypothesis import example, given
from hypothesis import strategies as st

from shards.bpe import read_bpe, train_bpe
from shards.tokenizer import (
    ByteTokenizer,
    WordTokenizer,
    build_vocabulary,
    from_json,
    join_words,
    load_tokenizer,
    split_words,
)
from shards.tokens import TokenizerError

WIKITEXT = Path(__file__).parents[2] / "shared/data/text/text.tar.gz"
TEXTS = st.text(st.characters(codec="utf-8"), max_size=200) | st.text("ab1.,'’-\"( )\n“”", max_size=60)

SPLITS = [
    ("", []),
    ("The old oak.", ["The", "old", "oak", "."]),
    ("don't wind-blown Étang", ["don't", "wind-blown", "Étang"]),
    ("3.14 1,200 3, 4", ["3.14", "1,200", "3", ",", "4"]),
    ("a\nb\n \nc \t d", ["a", "\n", "b", "\n\n", "c", "d"]),
    ("l’orme – “tall”", ["l’orme", "–", "“", "tall", "”"]),
    ("cafe\u0301", ["café"]),
    ("-a- '", ["-", "a", "-", "'"]),
]


@pytest.mark.parametrize(("text", "words"), SPLITS)
def test_texts_split_into_words(text: str, words: list[str]) -> None:
    assert split_words(text) == words


@pytest.mark.parametrize(
    "text",
    [
        "The old oak (a giant), he said, is 3.5 m round; isn't it?",
        '"Oak," she said, "is hard." \n\n"Elm" is not.'.replace(" \n", "\n"),
        "“L’orme” – 50% [sic]…\nnext line",
    ],
)
def test_ordinary_prose_comes_back_as_it_was(text: str) -> None:
    assert join_words(split_words(text)) == text


@given(TEXTS, st.booleans())
@example("\u2160\u0345", True)
def test_joined_words_split_into_the_same_words(text: str, lower_case: bool) -> None:
    words = split_words(text, lower_case)
    assert split_words(join_words(words)) == words


@given(TEXTS)
def test_known_words_make_a_round_trip_through_ids(text: str) -> None:
    words = split_words(text)
    tokenizer = WordTokenizer(build_vocabulary(Counter(words), max_words=10_000))
    ids = tokenizer.encode(text)
    assert ids.dtype == np.uint16
    assert [tokenizer.token(token_id) for token_id in ids.tolist()] == words
    assert tokenizer.decode(ids) == join_words(words)


@given(TEXTS, st.booleans(), st.booleans())
@example("  an oak ,\n\n\n  an ash", False, False)
def test_the_text_of_ids_has_the_same_ids_again(text: str, lower_case: bool, spaced: bool) -> None:
    words = build_vocabulary(Counter(split_words(text, lower_case, spaced)), max_words=10_000)
    tokenizer = WordTokenizer(words, lower_case, spaced)
    ids = tokenizer.encode(text)
    assert tokenizer.encode(tokenizer.decode(ids)).tolist() == ids.tolist()


def test_white_space_that_parts_no_words_does_not_come_back() -> None:
    tokenizer = WordTokenizer(("an", "oak", ",", "\n\n", "ash", "."))
    assert tokenizer.decode(tokenizer.encode("  an oak ,\n\n\n  an\tash .")) == "an oak,\n\nan ash."


@given(st.text(st.characters(codec="utf-8")))
def test_bytes_make_a_round_trip(text: str) -> None:
    tokenizer = ByteTokenizer()
    assert tokenizer.decode(tokenizer.encode(text)) == text


def test_unknown_words_and_ends_are_written_as_such() -> None:
    tokenizer = WordTokenizer(("oak", "."))
    assert tokenizer.encode("the oak.").tolist() == [0, 2, 3]
    assert tokenizer.decode([0, 2, 3, 1]) == "<unk> oak. <eos>"
    assert ByteTokenizer().decode([111, 107, 256]) == "ok<eos>"
    assert (tokenizer.vocab_size, ByteTokenizer().vocab_size) == (4, 257)


def test_lower_case_is_part_of_the_tokenizer() -> None:
    tokenizer = WordTokenizer(("oak",), lower_case=True)
    assert tokenizer.encode("Oak OAK").tolist() == [2, 2]
    assert tokenizer.sha256() != WordTokenizer(("oak",)).sha256()


def test_vocabulary_keeps_the_commonest_and_breaks_ties_by_word() -> None:
    counts = {"oak": 2, "elm": 5, "ash": 2, "fir": 1, "yew": 1}
    assert build_vocabulary(counts, max_words=3) == ("elm", "ash", "oak")
    assert build_vocabulary(dict(reversed(counts.items())), max_words=10, min_count=2) == ("elm", "ash", "oak")


def test_ids_beyond_16_bits_take_32() -> None:
    assert WordTokenizer(tuple(map(str, range(2**16 - 2)))).dtype == "<u2"
    assert WordTokenizer(tuple(map(str, range(2**16 - 1)))).encode("65534").tolist() == [65536]


@pytest.mark.parametrize("tokenizer", [WordTokenizer(("oak", "été", "\n\n"), lower_case=True), ByteTokenizer()])
def test_tokenizer_makes_a_round_trip_through_its_file(
    tmp_path: Path, tokenizer: WordTokenizer | ByteTokenizer
) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_text(tokenizer.to_json(), encoding="utf-8")
    assert load_tokenizer(path) == load_tokenizer(tmp_path) == tokenizer
    assert load_tokenizer(path).sha256() == tokenizer.sha256()


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", '{"kind": "bpe"}', '{"kind": "words", "lower_case": false, "words": [1]}']
)
def test_what_is_no_tokenizer_is_refused(text: str) -> None:
    with pytest.raises(TokenizerError):
        from_json(text)


def test_missing_tokenizer_is_named(tmp_path: Path) -> None:
    with pytest.raises(TokenizerError, match=r"tokenizer\.json cannot be read"):
        load_tokenizer(tmp_path)


PROSE = (
    "The old oak stands at the edge of the meadow, where the road bends down. " * 3 + "Ein Baum, ein Étang, 橡树。\n\n"
)


def test_byte_pairs_have_the_ids_of_the_library() -> None:
    tokenizer = train_bpe([PROSE, "An elm."], vocab_size=300)
    reference = tokenizers.Tokenizer.from_str(tokenizer.definition)
    for text in (PROSE, "Unseen wörds, 🌳!", ""):
        ids = tokenizer.encode(text)
        assert ids.tolist() == reference.encode(text).ids
        assert tokenizer.decode(ids) == text
    assert (tokenizer.vocab_size, tokenizer.eos_id, tokenizer.dtype) == (300, 0, "<u2")
    assert len(tokenizer.encode(PROSE)) < len(PROSE.encode()) / 2


@given(st.text(st.characters(codec="utf-8"), max_size=100))
def test_byte_pairs_make_a_round_trip(text: str) -> None:
    tokenizer = train_bpe([PROSE], vocab_size=280)
    assert tokenizer.decode(tokenizer.encode(text)) == text


def test_byte_pairs_are_the_same_each_time_and_come_back_from_their_file() -> None:
    one, other = (train_bpe(iter([PROSE, "An elm."]), vocab_size=300) for _ in range(2))
    assert one.to_json() == other.to_json()
    loaded = from_json(one.to_json())
    assert (loaded.sha256(), loaded.encode(PROSE).tolist()) == (one.sha256(), one.encode(PROSE).tolist())


def test_byte_pairs_of_others_close_documents_with_their_own_token() -> None:
    trainer = tokenizers.trainers.BpeTrainer(special_tokens=["<|endoftext|>", "<stop>"], show_progress=False)
    others = tokenizers.Tokenizer(tokenizers.models.BPE())
    others.train_from_iterator([PROSE], trainer)
    assert read_bpe(others.to_str()).eos_id == 0
    assert read_bpe(others.to_str(), "<stop>").eos_id == 1
    with pytest.raises(TokenizerError, match="'<end>' is no token of it"):
        read_bpe(others.to_str(), "<end>")
    with pytest.raises(TokenizerError, match="not a tokenizer of Hugging Face's"):
        read_bpe("{}")


def test_spaced_texts_have_the_usual_counts_of_words() -> None:
    tokenizer = WordTokenizer(("the", "oak", "\n"), spaced=True)
    assert tokenizer.encode("the oak\n \nis 3.5 @-@ old\n").tolist() == [2, 3, 4, 4, 0, 0, 0, 0, 4]
    assert tokenizer.decode([2, 3, 4, 2, 3]) == "the oak\nthe oak"
    assert from_json(tokenizer.to_json()) == tokenizer


@pytest.mark.skipif(not WIKITEXT.exists(), reason="no shared data beside the repository")
@pytest.mark.parametrize(("name", "count"), [("valid", 217_646), ("test", 245_569)])
def test_wikitext_2_has_its_published_counts(name: str, count: int) -> None:
    # Source: Merity et al. 2016, "Pointer Sentinel Mixture Models", table 1
    with tarfile.open(WIKITEXT) as archive:
        (member,) = (each for each in archive.getmembers() if each.name.endswith(f"wikitext-2/{name}.txt"))
        file = archive.extractfile(member)
        assert file is not None
        text = file.read().decode()
    counts = Counter(split_words(text, spaced=True))
    tokens = WordTokenizer(build_vocabulary(counts, max_words=100_000), spaced=True).encode(text)
    assert len(tokens) == count
    assert int((tokens == WordTokenizer.unk_id).sum()) == 0
