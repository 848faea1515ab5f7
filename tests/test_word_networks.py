"""The networks that predict a next word: what they look at, and what they must not."""

from typing import Any, TypeVar

import numpy as np
import pytest
import torch
from torch import Tensor

from models.attention_rnn import AttentionRNN, AttentionShape
from models.gpt import GPT, Block, CausalAttention, GPTShape, document_mask, rotary_table, rotate
from models.word_losses import cross_entropy, to_windows
from models.word_networks import WordNetwork, build_network, shape_from_plain, shape_to_plain

CPU = torch.device("cpu")
WORDS, CONTEXT = 11, 6

Network = TypeVar("Network", GPT, AttentionRNN)


def a_gpt(**more: Any) -> GPT:
    torch.manual_seed(0)
    shape: dict[str, Any] = {"width": 16, "num_layers": 2, "num_heads": 2, "dropout": 0.0, **more}
    return lively(GPT(GPTShape(WORDS, CONTEXT, **shape)))


def an_rnn(**more: Any) -> AttentionRNN:
    torch.manual_seed(0)
    shape: dict[str, Any] = {"width": 16, **more}
    network = AttentionRNN(AttentionShape(WORDS, CONTEXT, **shape))
    if network.shape.has_attention:
        torch.nn.init.normal_(network.by_distance)
    return lively(network)


def lively(network: Network) -> Network:
    """With weights so large that every word makes a difference."""
    for parameter in network.parameters():
        if parameter.dim() == 2:
            torch.nn.init.normal_(parameter, std=0.3)
    return network.eval()


def first_attention() -> CausalAttention:
    block = a_gpt().blocks[0]
    assert isinstance(block, Block)
    return block.attention


NETWORKS = [
    pytest.param(a_gpt(), id="gpt"),
    pytest.param(a_gpt(is_tied=False), id="gpt-untied"),
    *(pytest.param(an_rnn(activation=name), id=f"attention-{name}") for name in ("tanh", "sigmoid", "linear")),
    pytest.param(an_rnn(has_attention=False), id="no-attention"),
]


@torch.no_grad()
def logits(network: WordNetwork, tokens: Tensor, documents: Tensor | None = None) -> Tensor:
    told = network(tokens, documents)
    assert isinstance(told, Tensor)
    return told


@pytest.mark.parametrize("network", NETWORKS)
def test_no_word_is_foretold_from_the_words_after_it(network: WordNetwork) -> None:
    tokens = torch.tensor([[3, 1, 4, 1, 5, 9]])
    changed = tokens.clone()
    changed[0, 4:] = 2
    before, after = logits(network, tokens)[0], logits(network, changed)[0]
    assert before.shape == (CONTEXT, WORDS)
    assert torch.equal(before[:4], after[:4])
    assert not torch.allclose(before[4], after[4])


@pytest.mark.parametrize("network", NETWORKS)
def test_every_word_before_makes_a_difference(network: WordNetwork) -> None:
    tokens = torch.tensor([[3, 1, 4, 1, 5, 9]])
    for place in range(CONTEXT):
        changed = tokens.clone()
        changed[0, place] = 7
        assert not torch.allclose(logits(network, tokens)[0, -1], logits(network, changed)[0, -1], atol=1e-6), place


@pytest.mark.parametrize("network", NETWORKS)
def test_documents_masked_from_each_other_are_read_as_if_each_stood_alone(network: WordNetwork) -> None:
    tokens = torch.tensor([[3, 1, 4, 1, 5, 9], [2, 7, 1, 8, 2, 8]])
    documents = torch.tensor([[0, 0, 1, 1, 1, -1], [0, 1, 1, 2, 2, 2]], dtype=torch.int32)
    told = logits(network, tokens, documents)
    pieces = [(0, 0, 2), (0, 2, 5), (1, 0, 1), (1, 1, 3), (1, 3, 6)]
    for row, start, stop in pieces:
        alone = logits(network, tokens[row : row + 1, start:stop])[0]
        assert torch.allclose(told[row, start:stop], alone, atol=1e-5), (row, start)
    assert not torch.allclose(told, logits(network, tokens), atol=1e-3)


@pytest.mark.parametrize("network", NETWORKS)
def test_a_window_is_judged_as_if_nothing_filled_it_up(network: WordNetwork) -> None:
    mask = np.array([[True] * 6, [True, False, False, False, False, False]])
    batch = {"tokens": np.array([[3, 1, 4, 1, 5, 9, 2], [5, 9, 1, 1, 1, 1, 1]], np.uint16), "mask": mask}
    with torch.no_grad():
        losses = cross_entropy(network, to_windows(batch, CPU))
    assert losses[1, 1:].tolist() == [0.0] * 5
    expected = -logits(network, torch.tensor([[5]]))[0, 0].log_softmax(dim=0)[9]
    assert losses[1, 0].item() == pytest.approx(expected.item(), abs=1e-5)
    batch["tokens"][1, 2:] = 4
    with torch.no_grad():
        assert torch.equal(cross_entropy(network, to_windows(batch, CPU)), losses)


@pytest.mark.parametrize("network", NETWORKS)
def test_attention_lies_between_0_and_1_and_never_on_what_comes(network: WordNetwork) -> None:
    weights = network.attention(torch.tensor([3, 1, 4, 1, 5]))
    assert weights.shape[-2:] == (5, 5)
    assert weights.min() >= 0
    assert weights.max() <= 1
    assert torch.equal(weights, weights.tril())
    if isinstance(network, GPT):
        assert weights.shape[:2] == (2, 2)
        assert torch.allclose(weights.sum(dim=-1), torch.ones(2, 2, 5))
    elif not network.shape.has_attention:
        assert torch.equal(weights[0, 0], torch.eye(5))
    else:
        assert weights.shape[:2] == (1, 1)
        assert (weights[0, 0].diagonal(offset=-1) > 0).all()


@pytest.mark.parametrize("network", NETWORKS)
def test_a_network_is_built_again_from_what_a_checkpoint_holds(network: WordNetwork) -> None:
    again = build_network(shape_from_plain(shape_to_plain(network.shape)))
    again.load_state_dict(network.state_dict())
    tokens = torch.tensor([[3, 1, 4, 1, 5, 9]])
    assert torch.equal(logits(again.eval(), tokens), logits(network, tokens))


@pytest.mark.parametrize("kind", [GPT, AttentionRNN])
def test_an_untrained_model_begins_near_the_counts_of_words(kind: type[GPT | AttentionRNN]) -> None:
    log_unigram = torch.tensor([0.5, 0.3, 0.2]).log()
    torch.manual_seed(0)
    shape = GPTShape(3, 4, 16, 1, 2, 0.0, is_tied=False) if kind is GPT else AttentionShape(3, 4, 16)
    told = logits(build_network(shape, log_unigram).eval(), torch.tensor([[0, 1]])).softmax(dim=-1)
    assert torch.allclose(told[0, -1], log_unigram.exp(), atol=0.1)


def test_the_next_word_is_attention_by_hand() -> None:
    """The formulas of the module, in numpy, word by word."""
    network = an_rnn(width=4)
    tokens = [3, 1, 4, 1]
    held = {name: parameter.detach().numpy().astype(np.float64) for name, parameter in network.named_parameters()}
    vectors, state, told, weights = held["embedding.weight"][tokens], np.zeros(4), [], np.zeros((4, 4))
    for t in range(4):
        for i in range(t + 1):
            of_word = held["of_word.weight"] @ vectors[i] + held["of_word.bias"]
            inside = np.tanh(of_word + held["of_state.weight"] @ state)
            score = held["score.weight"][0] @ inside + held["by_distance"][t - i]
            weights[t, i] = 1 / (1 + np.exp(-score))
        stacked = np.concatenate([weights[t] @ vectors, state])
        told.append(held["head.weight"] @ stacked + held["head.bias"])
        state = np.tanh(held["state.weight"] @ stacked + held["state.bias"])
    assert np.allclose(logits(network, torch.tensor([tokens]))[0], told, atol=1e-5)
    assert np.allclose(network.attention(torch.tensor(tokens))[0, 0], weights, atol=1e-5)


def test_where_only_the_newest_word_counts_attention_is_its_baseline() -> None:
    network, baseline = an_rnn(), an_rnn(has_attention=False)
    baseline.load_state_dict({name: network.state_dict()[name] for name in baseline.state_dict()})
    torch.nn.init.zeros_(network.score.weight)
    network.by_distance.data = torch.tensor([40.0] + [-40.0] * (CONTEXT - 1))
    tokens = torch.tensor([[3, 1, 4, 1, 5, 9]])
    assert torch.allclose(logits(network, tokens), logits(baseline, tokens), atol=1e-5)


def test_without_anything_inside_the_whole_is_one_linear_system() -> None:
    """All logits of a window are one matrix times all its vectors, whose blocks follow from the distance alone."""
    network = an_rnn(activation="linear", width=4).double()
    C, T = 4, CONTEXT
    weight = {name: parameter.detach() for name, parameter in network.named_parameters()}
    of_context, of_state = torch.tensor_split(weight["state.weight"], 2, dim=1)
    to_word, from_state = torch.tensor_split(weight["head.weight"], 2, dim=1)
    counts = weight["by_distance"].sigmoid()
    blocks = []  # M_d, (num_words, C)
    for distance in range(T):
        block = to_word * counts[distance]
        for steps in range(distance):  # through s_{t−1}: S_s^steps S_c c_{t−1−steps}
            block += from_state @ of_state.matrix_power(steps) @ of_context * counts[distance - 1 - steps]
        blocks.append(block)
    system = torch.zeros(T * WORDS, T * C, dtype=torch.float64)
    for t in range(T):
        for i in range(t + 1):
            system[t * WORDS : (t + 1) * WORDS, i * C : (i + 1) * C] = blocks[t - i]

    def told(tokens: list[int]) -> Tensor:
        return logits(network, torch.tensor([tokens]))[0].flatten()

    def vectors(tokens: list[int]) -> Tensor:
        return weight["embedding.weight"][tokens].flatten()

    one, other = [3, 1, 4, 1, 5, 9], [2, 7, 1, 8, 2, 8]
    assert torch.allclose(told(one) - told(other), system @ (vectors(one) - vectors(other)), atol=1e-10)
    for activation in ("tanh", "sigmoid"):
        curved = an_rnn(activation=activation, width=4).double()
        third = [3, 1, 1, 8, 2, 8]  # differs from `one` and `other` as they do from `fourth`, place by place
        fourth = [2, 7, 4, 1, 5, 9]
        sums = [logits(curved, torch.tensor([pair]))[0, -1] for pair in (one, other, third, fourth)]
        assert not torch.allclose(sums[0] + sums[1], sums[2] + sums[3], atol=1e-5)
    sums = [told([*pair])[-WORDS:] for pair in (one, other, [3, 1, 1, 8, 2, 8], [2, 7, 4, 1, 5, 9])]
    assert torch.allclose(sums[0] + sums[1], sums[2] + sums[3], atol=1e-10)


def test_rotated_channels_meet_by_how_far_apart_they_stand() -> None:
    cos, sin = rotary_table(8, 4)
    query, key = torch.randn(2, 4, generator=torch.Generator().manual_seed(0))
    turned_query = rotate(query.expand(8, 4), cos, sin)
    turned_key = rotate(key.expand(8, 4), cos, sin)
    meetings = turned_query @ turned_key.T
    assert torch.allclose(meetings[2, 0], meetings[7, 5], atol=1e-5)
    assert torch.allclose(meetings[0, 0], query @ key, atol=1e-5)


def test_a_transformer_looks_back_with_the_weights_that_it_shows() -> None:
    attention = first_attention()
    cos, sin = rotary_table(CONTEXT, 8)
    x = torch.randn(1, CONTEXT, 16, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        weights = attention.weights(x, cos, sin)
        values = attention._heads(x, cos, sin)[2]
        by_hand = attention.out((weights @ values).transpose(1, 2).reshape(1, CONTEXT, 16))
        assert torch.allclose(attention(x, cos, sin, None), by_hand, atol=1e-5)
        together = document_mask(torch.zeros(1, CONTEXT))
        assert torch.allclose(attention(x, cos, sin, together), by_hand, atol=1e-5)


def test_queries_and_keys_are_of_one_length_however_long_what_they_come_from() -> None:
    attention = first_attention()
    cos, sin = rotary_table(CONTEXT, 8)
    x = torch.randn(1, CONTEXT, 16, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        q, k, _ = attention._heads(1000 * x, cos, sin)
    for heads in (q, k):
        assert torch.allclose(heads.norm(dim=-1), torch.full((1, 2, CONTEXT), 8**0.5), atol=1e-3)


def test_one_matrix_serves_words_in_and_out_or_two_do() -> None:
    tied, untied = a_gpt(), a_gpt(is_tied=False)
    assert tied.head.weight is tied.embedding.weight
    assert untied.head.weight is not untied.embedding.weight
    more = sum(p.numel() for p in untied.parameters()) - sum(p.numel() for p in tied.parameters())
    assert more == untied.embedding.weight.numel()
    assert untied.flops_per_word(CONTEXT) == tied.flops_per_word(CONTEXT)
