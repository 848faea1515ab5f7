"""From a prompt to text: words drawn one after another from the distribution a language model predicts."""

import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import torch
from torch import Tensor

from models.attention_picture import draw_attention
from models.devices import choose_device
from models.drawing import Drawing, Drawn, draw_words
from models.runs import RunError, RunFolder, exit_status
from models.settings import parse_settings, refuse_below
from models.word_networks import WordNetwork, build_network, shape_from_plain
from shards.manifest import atomic_write
from shards.tokenizer import WordTokenizer, from_json, split_words
from shards.tokens import Tokenizer

LEAST_TEMPERATURE = 0.0001
"""Logits over less would pass what a number can hold; to take the likeliest word, be greedy."""


@dataclass(frozen=True)
class GenerateSettings:
    """What `python -m models.language generate` takes."""

    run: Annotated[Path, "folder of a training run"]
    prompt: Annotated[str, "what the text begins with; without one, a new text is begun"] = ""
    words: Annotated[int, "most words to write"] = 120
    seed: Annotated[int, "of the drawing; another seed writes another text"] = 0
    greedy: Annotated[bool, "take the likeliest word each time; else words are drawn by their probability"] = False
    temperature: Annotated[float, "1 draws from the predicted distribution itself, less is more cautious"] = 0.8
    top_k: Annotated[int, "draw from so many of the likeliest words only; 0 leaves all"] = 0
    top_p: Annotated[float, "draw from the likeliest words that together have this probability; 1 leaves all"] = 1.0
    show: Annotated[int, "of each word, print so many of the likeliest and their probabilities; 0 prints none"] = 0
    attention: Annotated[Path, "file to draw as a PNG what each word looks at; - for none"] = Path("-")
    out: Annotated[Path, "file to write the text to as well; - for none"] = Path("-")
    device: Annotated[str, "cpu, cuda, or auto"] = "auto"

    def __post_init__(self) -> None:
        refuse_below(1, self, ("words",))
        refuse_below(0, self, ("seed", "top_k", "show"))
        refuse_below(LEAST_TEMPERATURE, self, ("temperature",))
        if not 0 < self.top_p <= 1:
            raise ValueError(f"--top-p {self.top_p}: must be above 0, and 1 at most")


@dataclass(frozen=True)
class Writer:
    """A trained language model and its dictionary."""

    model: WordNetwork
    tokenizer: Tokenizer


@dataclass(frozen=True)
class Written:
    """What was written.

    Attributes:
        text: the prompt, and what was drawn after it.
        tokens: all of them; the first is `<eos>` where there was no prompt.
        drawn: each word drawn, an `<eos>` that ended the text included.
    """

    text: str
    tokens: Sequence[int]
    drawn: Sequence[Drawn]


def generate_main(argv: Sequence[str]) -> int:
    """Write a text and print it; return the exit status."""
    settings = parse_settings(GenerateSettings, argv, "python -m models.language generate", "Write a text.")

    def work() -> None:
        writer = load_writer(settings.run, choose_device(settings.device))
        for word in unknown_words(writer.tokenizer, settings.prompt):
            print(f"not in the dictionary, read as <unk>: {word}", file=sys.stderr)
        written = _write(writer, settings)
        print(written.text)
        for drawn in written.drawn if settings.show else ():
            print(likeliest(writer.tokenizer, drawn, settings.show))
        if settings.attention != Path("-"):
            _save(_picture(writer, written.tokens), settings.attention, "--attention")
        if settings.out != Path("-"):
            _save(f"{written.text}\n".encode(), settings.out, "--out")

    return exit_status(work)


def generate(run: Path, prompt: str, num_words: int, seed: int) -> str:
    """Return a text of a trained language model: the prompt, and the whole sentences that it drew after it.

    Args:
        run: folder of the training run.
        prompt: what the text begins with; may be empty.
        num_words: most words to draw.
        seed: of the drawing.

    Raises:
        RunError: there is no trained language model.
    """
    settings = GenerateSettings(run=run, prompt=prompt, words=num_words, seed=seed)
    return whole_sentences(_write(load_writer(run, choose_device("auto")), settings).text)


def whole_sentences(text: str) -> str:
    """Return a text without the sentence that it breaks off in; all of it where no sentence ends.

    >>> whole_sentences('An oak stands. "Old," he said. It is an')
    'An oak stands. "Old," he said.'
    """
    found = re.match(r"""(?s).*[.!?]["”’')]*(?=\s|$)""", text)
    return found[0] if found else text


def unknown_words(tokenizer: Tokenizer, text: str) -> list[str]:
    """Return the words of a text that a dictionary does not hold, in their order, each once."""
    if not isinstance(tokenizer, WordTokenizer):
        return []
    known = set(tokenizer.words)
    words = split_words(text, tokenizer.lower_case, tokenizer.spaced)
    return [word for word in dict.fromkeys(words) if word not in known]


def likeliest(tokenizer: Tokenizer, drawn: Drawn, count: int) -> str:
    """Return a word that was drawn, its probability, and the likeliest words with theirs, as one line."""

    def told(word: int, probability: float) -> str:
        return f"{tokenizer.token(word)!r} {probability:.1%}"

    probabilities, words = drawn.probabilities.topk(min(count, len(drawn.probabilities)))
    best = ", ".join(told(*pair) for pair in zip(words.tolist(), probabilities.tolist(), strict=True))
    return f"{told(drawn.word, float(drawn.probabilities[drawn.word])):24s} of {best}"


def load_writer(run: Path, device: torch.device) -> Writer:
    """Return a run's language model at its best on text held out, and its dictionary.

    Raises:
        RunError: there is none, or the dictionary is not the one it was trained with.
    """
    state = RunFolder(run).load()
    if "word_shape" not in state:
        raise RunError(f"{run}: not the run of a language model")
    tokenizer = from_json(state["tokenizer"])
    if tokenizer.sha256() != state["tokenizer_sha256"]:
        raise RunError(f"{run}: its dictionary is not the one it was trained with; train again")
    model = build_network(shape_from_plain(state["word_shape"]))
    model.load_state_dict(state["best"])
    return Writer(model.to(device).eval(), tokenizer)


def _write(writer: Writer, settings: GenerateSettings) -> Written:
    tokenizer = writer.tokenizer
    prompt = tokenizer.encode(settings.prompt).tolist()
    before = prompt or [tokenizer.eos_id]
    drawing = Drawing(
        seed=settings.seed,
        temperature=settings.temperature,
        top_k=settings.top_k,
        top_p=settings.top_p,
        is_greedy=settings.greedy,
        banned=(tokenizer.unk_id,) if isinstance(tokenizer, WordTokenizer) else (),
    )
    drawn = continue_words(writer.model, before, settings.words, drawing, tokenizer.eos_id)
    words = [each.word for each in drawn if each.word != tokenizer.eos_id]
    # The prompt is shown as it was given, words that the dictionary lacks included.
    added = tokenizer.decode([*prompt, *words]).removeprefix(tokenizer.decode(prompt))
    return Written((settings.prompt + added).strip(), [*before, *words], drawn)


def continue_words(
    model: WordNetwork, words: Sequence[int], num_words: int, drawing: Drawing, eos_id: int
) -> list[Drawn]:
    """Return what is drawn after `words`, `num_words` at most, up to the end of the text if it comes before.

    Args:
        model: the language model, in evaluation mode.
        words: what stands before, at least one word.
        num_words: where to stop at the latest.
        drawing: how each is chosen.
        eos_id: the word that ends a text.
    """
    drawn: list[Drawn] = []
    for each in draw_words(model, words, drawing):
        drawn.append(each)
        if len(drawn) == num_words or each.word == eos_id:
            break
    return drawn


def _picture(writer: Writer, tokens: Sequence[int]) -> bytes:
    """What each of the last T words looks at, as a PNG."""
    seen = list(tokens)[-writer.model.shape.context :]
    device = next(writer.model.parameters()).device
    weights: Tensor = writer.model.attention(torch.tensor(seen, device=device))
    return draw_attention(weights.cpu().numpy(), [writer.tokenizer.token(word) for word in seen])


def _save(data: bytes, path: Path, setting: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic_write(path, data)
    except OSError as error:
        raise RunError(f"{path}: cannot be written ({error.strerror}); give another {setting}") from error
