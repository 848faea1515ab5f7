"""From a prompt to text: words drawn one after another from the distribution a language model predicts."""

import re
import sys
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import torch
from torch import Tensor

from models.devices import choose_device
from models.gpt import GPT, GPTShape
from models.runs import RunError, RunFolder, exit_status
from models.settings import parse_settings, refuse_below
from shards.manifest import atomic_write
from shards.tokenizer import WordTokenizer, from_json, split_words
from shards.tokens import Tokenizer


@dataclass(frozen=True)
class GenerateSettings:
    """What `python -m models.language generate` takes."""

    run: Annotated[Path, "folder of a training run"]
    prompt: Annotated[str, "what the text begins with; without one, a new text is begun"] = ""
    words: Annotated[int, "most words to write"] = 120
    seed: Annotated[int, "of the drawing; another seed writes another text"] = 0
    temperature: Annotated[float, "1 draws from the predicted distribution itself, less is more cautious"] = 0.8
    top_k: Annotated[int, "draw from so many of the likeliest words only; 0 leaves all"] = 0
    out: Annotated[Path, "file to write the text to as well; - for none"] = Path("-")
    device: Annotated[str, "cpu, cuda, or auto"] = "auto"

    def __post_init__(self) -> None:
        refuse_below(1, self, ("words",))
        refuse_below(0, self, ("seed", "top_k"))
        if self.temperature <= 0:
            raise ValueError(f"--temperature {self.temperature}: must be above 0")


@dataclass(frozen=True)
class Writer:
    """A trained language model and its dictionary."""

    model: GPT
    tokenizer: Tokenizer


def generate_main(argv: Sequence[str]) -> int:
    """Write a text and print it; return the exit status."""
    settings = parse_settings(GenerateSettings, argv, "python -m models.language generate", "Write a text.")

    def work() -> None:
        writer = load_writer(settings.run, choose_device(settings.device))
        for word in unknown_words(writer.tokenizer, settings.prompt):
            print(f"not in the dictionary, read as <unk>: {word}", file=sys.stderr)
        text = _write(writer, settings)
        print(text)
        if settings.out != Path("-"):
            _save(text, settings.out)

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
    return whole_sentences(_write(load_writer(run, choose_device("auto")), settings))


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


def load_writer(run: Path, device: torch.device) -> Writer:
    """Return a run's language model at its best on text held out, and its dictionary.

    Raises:
        RunError: there is none, or the dictionary is not the one it was trained with.
    """
    state = RunFolder(run).load()
    if "gpt_shape" not in state:
        raise RunError(f"{run}: not the run of a language model")
    tokenizer = from_json(state["tokenizer"])
    if tokenizer.sha256() != state["tokenizer_sha256"]:
        raise RunError(f"{run}: its dictionary is not the one it was trained with; train again")
    model = GPT(GPTShape(**state["gpt_shape"]))
    model.load_state_dict(state["best"])
    return Writer(model.to(device).eval(), tokenizer)


def _write(writer: Writer, settings: GenerateSettings) -> str:
    tokenizer = writer.tokenizer
    prompt = tokenizer.encode(settings.prompt).tolist()
    drawn = continue_words(
        writer.model,
        prompt or [tokenizer.eos_id],
        settings.words,
        seed=settings.seed,
        temperature=settings.temperature,
        top_k=settings.top_k,
        banned=(tokenizer.unk_id,) if isinstance(tokenizer, WordTokenizer) else (),
        eos_id=tokenizer.eos_id,
    )
    # The prompt is shown as it was given, words that the dictionary lacks included.
    return (settings.prompt + tokenizer.decode([*prompt, *drawn]).removeprefix(tokenizer.decode(prompt))).strip()


def _save(text: str, path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic_write(path, f"{text}\n".encode())
    except OSError as error:
        raise RunError(f"{path}: cannot be written ({error.strerror}); give another --out") from error


def next_word_probabilities(logits: Tensor, temperature: float, top_k: int, banned: Collection[int]) -> Tensor:
    """Return the distribution (num_words,) to draw from.

    Args:
        logits: (num_words,) of the model.
        temperature: above 0; 1 is the predicted distribution itself, less is more cautious.
        top_k: only so many of the likeliest words are left; 0 leaves all.
        banned: words that are never drawn.
    """
    logits = logits.float().clone()
    logits[list(banned)] = -torch.inf
    if 0 < top_k < len(logits):
        logits[logits < logits.topk(top_k).values[-1]] = -torch.inf
    return (logits / temperature).softmax(dim=0)


@torch.no_grad()
def continue_words(
    model: GPT,
    words: Sequence[int],
    num_words: int,
    *,
    seed: int,
    temperature: float,
    top_k: int,
    banned: Collection[int],
    eos_id: int,
) -> list[int]:
    """Return the words drawn after `words`, at most `num_words`; the end of the text is not among them.

    Args:
        model: the language model, in evaluation mode.
        words: what stands before, at least one word; the model sees the last T of them.
        num_words: where to stop at the latest.
        seed: of the drawing.
        temperature: see `next_word_probabilities`.
        top_k: see `next_word_probabilities`.
        banned: see `next_word_probabilities`.
        eos_id: the word that ends a text.
    """
    chance = torch.Generator().manual_seed(seed)
    device = model.bias.device
    text = list(words)
    for _ in range(num_words):
        seen = torch.tensor([text[-model.shape.context :]], device=device)
        logits = model(seen)[0, -1].cpu()
        probabilities = next_word_probabilities(logits, temperature, top_k, banned)
        drawn = int(torch.multinomial(probabilities, 1, generator=chance))
        if drawn == eos_id:
            break
        text.append(drawn)
    return text[len(words) :]
