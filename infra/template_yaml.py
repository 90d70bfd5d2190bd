"""Reads CloudFormation templates, whose short forms (`!Ref`, `!Sub`, ...) become function calls."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias, cast

import yaml

# A value in a template: a text, number, boolean, list, mapping or function call.
Value: TypeAlias = Any


@dataclass(frozen=True, slots=True)
class FunctionCall:
    """A call of a function of CloudFormation in its short form."""

    name: str
    argument: Value


def parse(body: str) -> Value:
    """The document. Raises yaml.YAMLError."""
    return yaml.load(body, Loader=_TemplateLoader)  # noqa: S506 - derived from SafeLoader


# The parser in C, where PyYAML was built with one, takes a tenth of the time.
_Fastest: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
# YAML with the short forms of CloudFormation.
_TemplateLoader = cast("type[yaml.SafeLoader]", type("_TemplateLoader", (_Fastest,), {}))


def _function_call(loader: yaml.SafeLoader, name: str, node: yaml.Node) -> FunctionCall:
    if isinstance(node, yaml.ScalarNode):
        return FunctionCall(name, loader.construct_scalar(node))
    if isinstance(node, yaml.MappingNode):
        return FunctionCall(name, loader.construct_mapping(node, deep=True))
    assert isinstance(node, yaml.SequenceNode), name
    return FunctionCall(name, loader.construct_sequence(node, deep=True))


_TemplateLoader.add_multi_constructor("!", _function_call)
