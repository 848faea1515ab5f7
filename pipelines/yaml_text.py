"""YAML as people write it, bounded: a few lines of aliases can stand for more values than any memory holds."""

from typing import Any

import yaml

MAX_CHARACTERS = 2**20
"""Of a text; far more than a recipe takes, and read in seconds."""

MAX_VALUES = 100_000
"""Values that a text may stand for, each as often as it is named."""

_MAX_DIGITS = 100
"""Characters of a number: YAML has some to the base 60, which take a minute where they fill a text."""

_NUMBERS = frozenset({"tag:yaml.org,2002:int", "tag:yaml.org,2002:float"})

_MAX_SHOWN = 200
"""Characters of a value that are shown."""


class YamlError(ValueError):
    """A text that is not YAML, or stands for too much; the message says why, in one line."""


def load_yaml(text: str) -> Any:  # noqa: ANN401 - whatever stands there
    """The value that a text stands for.

    Raises:
        YamlError: it stands for none, or for too much, or a key stands twice.
    """
    if len(text) > MAX_CHARACTERS:
        raise YamlError(f"{len(text)} characters; at most {MAX_CHARACTERS} may be")
    try:
        return _load(_Loader(text))
    except (yaml.YAMLError, RecursionError) as error:
        raise YamlError(shown(" ".join(str(error).split()))) from error


def _load(loader: "_Loader") -> Any:  # noqa: ANN401 - likewise
    root = loader.get_single_node()
    if root is None:
        return None
    if _num_values(root, {}) > MAX_VALUES:
        raise YamlError(f"it stands for more than {MAX_VALUES} values, each alias (*name) for all that it names")
    return loader.construct_document(root)


def shown(text: str) -> str:
    """A text as a message can show it, cut where it is long."""
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}… ({len(text)} characters)"


def _num_values(node: yaml.Node, known: dict[int, int]) -> int:
    """How many values a node stands for, each as often as it is named; one inside itself stands for too many."""
    if id(node) not in known:
        known[id(node)] = MAX_VALUES + 1  # which is what an alias inside of it to itself finds
        known[id(node)] = 1 + sum(_num_values(child, known) for child in _children(node))
    return known[id(node)]


def _children(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return [each for pair in node.value for each in pair]
    return list(node.value) if isinstance(node, yaml.SequenceNode) else []


class _Loader(yaml.SafeLoader):
    """Plain YAML, but a key that stands twice is an error: one of its two values would be lost unnoticed."""

    def construct_scalar(self, node: yaml.ScalarNode | yaml.MappingNode) -> Any:  # noqa: ANN401 - as the one of PyYAML
        """The text in `node`.

        Raises:
            ConstructorError: it is to be a number, and too long for one.
        """
        if node.tag in _NUMBERS and len(node.value) > _MAX_DIGITS:
            told = f"a number of {len(node.value)} characters; at most {_MAX_DIGITS} may be"
            raise yaml.constructor.ConstructorError(None, None, told, node.start_mark)
        return super().construct_scalar(node)

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:  # noqa: ANN401 - likewise
        """The value of `node`.

        Raises:
            ConstructorError: it only looks like a number or a date, or its tag (`!!int`) says that it is one.
        """
        try:
            return super().construct_object(node, deep)
        except (ValueError, LookupError, AttributeError) as error:
            if not isinstance(node, yaml.ScalarNode):
                raise
            told = f"{shown(node.value)!r} is no {node.tag.rpartition(':')[2]}"
            raise yaml.constructor.ConstructorError(None, None, told, node.start_mark) from error

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """The mapping in `node`.

        Raises:
            ConstructorError: a key stands twice.
        """
        seen: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                continue
            if key.value in seen:
                raise yaml.constructor.ConstructorError(None, None, f"'{key.value}' stands twice", key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)
