"""Attention with a state: the next word from a weighted sum of the words so far and from what is remembered of them.

Each word so far gives a vector, and with the state a number between 0 and 1: how much it matters now. The sum of the
vectors, so weighted, is the context. Context and state, stacked, give two things: the distribution of the next word
over the dictionary, and the next state. With w₁ … w_T the words of a window, t = 1 … T, s₀ = 0, and C channels:

    v_i   = E[w_i]                                                              (B, T, C)
    a_ti  = σ(u · φ(A_v v_i + A_s s_{t−1} + b_a) + r_{t−i}),   i = 1 … t        (B, t)     each in (0, 1)
    c_t   = Σ_i a_ti v_i                                                        (B, C)     the context
    h_t   = [c_t ; s_{t−1}]                                                     (B, 2C)    stacked
    p(w_{t+1} | w₁ … w_t) = softmax(O h_t + b_o)                                (B, num_words)
    s_t   = φ(S h_t + b_s)                                                      (B, C)     the next state

φ is tanh, or the sigmoid. A sum does not tell where a word stood, so r, one number for each distance, adds that; it
starts at +4 for the newest word and −4 for all others: untrained, the network is nearly its baseline.

**Without attention** (`has_attention` false) the context is the newest word alone, c_t = v_t: Elman's network, whose
state is all that it knows of the words before.

**Linear** (φ the identity) shows why there is something inside: then nothing but products with matrices and sums is
left, and the whole collapses into one linear system. The attention may not depend on words or state there, for a
product of two things that depend on the input is not linear in it: a_ti = σ(r_{t−i}). So, with S = [S_c S_s] and
O = [O_c O_s],

    s_t = Σ_{k≥0} S_s^k (S_c c_{t−k} + b_s),   O h_t = O_c c_t + O_s s_{t−1},   c_t = Σ_d σ(r_d) v_{t−d}

that is, logits_t = Σ_d M_d v_{t−d} + constants: one matrix for each distance, however many parameters made it. It can
say which words like to stand at which distance, but never "this one only if that one".

Source: Elman 1990, "Finding structure in time", Cognitive Science 14; attention by a small network of word and state
from Bahdanau et al. 2015 (arXiv:1409.0473), section 3.1, with each weight by itself in (0, 1) in place of a softmax;
a learned number for each distance from Raffel et al. 2020, "T5" (arXiv:1910.10683), section 2.1.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

ACTIVATIONS = ("tanh", "sigmoid", "linear")

NEWEST, OLDER = 4.0, -4.0
"""Where r starts: the newest word counts σ(4) = 0.98, each other 0.02."""


@dataclass(frozen=True)
class AttentionShape:
    """Everything that decides the network's tensors.

    Attributes:
        num_words: size of the tokenizer's dictionary.
        context: T, the most words looked back at.
        width: C, channels of a word's vector and of the state.
        dropout: share of the stacked context and state dropped before the next word in training, in [0, 1).
        activation: φ: `tanh`, `sigmoid` or `linear`.
        has_attention: whether the context is the weighted sum, not the newest word alone.
    """

    num_words: int
    context: int
    width: int
    dropout: float = 0.0
    activation: str = "tanh"
    has_attention: bool = True


class AttentionRNN(nn.Module):
    """Words so far in, logits of each next word out; see the module.

    Args:
        shape: sizes of the network.
        log_unigram: (num_words,) log probability of each word anywhere; where the output starts from.
    """

    def __init__(self, shape: AttentionShape, log_unigram: Tensor | None = None) -> None:
        super().__init__()
        self.shape = shape
        C = shape.width
        self.embedding = nn.Embedding(shape.num_words, C)
        self.state = nn.Linear(2 * C, C)
        self.head = nn.Linear(2 * C, shape.num_words)
        self.dropout = nn.Dropout(shape.dropout)
        if shape.has_attention:
            self.by_distance = nn.Parameter(torch.full((shape.context,), OLDER))
            self.by_distance.data[0] = NEWEST
        if shape.has_attention and shape.activation != "linear":
            self.of_word = nn.Linear(C, C)
            self.of_state = nn.Linear(C, C, bias=False)
            self.score = nn.Linear(C, 1, bias=False)
        nn.init.normal_(self.embedding.weight, std=0.5)
        nn.init.normal_(self.head.weight, std=0.02)
        self.head.bias.data = torch.zeros(shape.num_words) if log_unigram is None else log_unigram.clone()

    def forward(self, tokens: Tensor, documents: Tensor | None = None) -> Tensor:
        """Return the logits of the word after each, (B, T, num_words).

        Args:
            tokens: (B, T) int64 word numbers, T ≤ context.
            documents: (B, T) the document that each belongs to; each document starts from s₀, and words of others have
                no weight. None: all are of one.
        """
        stacked, _ = self._read(tokens, documents)
        return self.head(self.dropout(stacked))  # type: ignore[no-any-return]

    @torch.no_grad()
    def attention(self, tokens: Tensor) -> Tensor:
        """Return a_ti, float32 (1, 1, T, T), 0 where i > t, for tokens (T,); see `GPT.attention`."""
        _, weights = self._read(tokens[None], None)
        T = len(tokens)
        rows = [F.pad(row[0], (0, T - row.shape[1])) for row in weights]
        return torch.stack(rows)[None, None].float()

    def flops_per_word(self, num_words: int) -> float:
        """Return the floating-point operations that training takes for each of windows of T = `num_words` words.

        6 for each number of the matrices that a word is multiplied by; and where there is attention, for each of the
        (T + 1) / 2 words that are weighed in the mean, 6 · 2C for its score and its share of the sum.

        Source: counted as in Chowdhery et al. 2022, "PaLM" (arXiv:2204.02311), appendix B.
        """
        multiplied = sum(p.numel() for name, p in self.named_parameters() if name != "embedding.weight")
        weighed = (num_words + 1) / 2 if self.shape.has_attention else 0
        return 6.0 * multiplied + 12.0 * self.shape.width * weighed

    def _read(self, tokens: Tensor, documents: Tensor | None) -> tuple[Tensor, list[Tensor]]:
        """Return all h, (B, T, 2C), and a of each step, (B, t)."""
        B, T = tokens.shape
        vectors = self.embedding(tokens)
        keys = self.of_word(vectors) if hasattr(self, "of_word") else vectors
        state = vectors.new_zeros(B, self.shape.width)
        stacked, weights = [], []
        for t in range(T):
            if documents is not None and t > 0:
                state = state * (documents[:, t] == documents[:, t - 1])[:, None]
            weight = self._weigh(keys[:, : t + 1], state)
            if documents is not None:
                weight = weight * (documents[:, : t + 1] == documents[:, t : t + 1])
            context = (weight[:, None] @ vectors[:, : t + 1])[:, 0] if self.shape.has_attention else vectors[:, t]
            stacked.append(torch.cat([context, state], dim=-1))
            state = self._activate(self.state(stacked[-1]))
            weights.append(weight)
        return torch.stack(stacked, dim=1), weights

    def _weigh(self, keys: Tensor, state: Tensor) -> Tensor:
        """Return a_ti, (B, t), from A_v v_i + b_a (B, t, C) and s_{t−1} (B, C)."""
        B, t, _ = keys.shape
        if not self.shape.has_attention:
            return F.one_hot(torch.tensor(t - 1, device=keys.device), t).to(keys.dtype).expand(B, t)
        by_distance = self.by_distance[:t].flip(0).expand(B, t)
        if self.shape.activation == "linear":
            return by_distance.sigmoid()
        inside = self._activate(keys + self.of_state(state)[:, None])
        return (self.score(inside)[..., 0] + by_distance).sigmoid()  # type: ignore[no-any-return]

    def _activate(self, x: Tensor) -> Tensor:
        """φ, of any shape."""
        if self.shape.activation == "linear":
            return x
        return x.tanh() if self.shape.activation == "tanh" else x.sigmoid()
