"""What a template declares, with a stack's parameters put in: the properties that the broker should show."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import yaml

from infra.stacks import Stack

# What a template is made of: texts, numbers, truths, lists, mappings and the functions of CloudFormation.
Value: TypeAlias = Any
Properties: TypeAlias = Mapping[str, Value]

_NOTHING = object()


@dataclass(frozen=True, slots=True)
class Account:
    """Whose the stacks are."""

    partition: str
    region: str
    number: str

    @classmethod
    def of(cls, stack: Stack) -> Account:
        """The account of a stack, read from its id (`arn:<partition>:cloudformation:<region>:<account>:stack/...`)."""
        _, partition, _, region, number, *_ = stack.stack_id.split(":")
        return cls(partition, region, number)


class Declaration:
    """One template, resolved as CloudFormation would resolve it for one stack.

    It knows the functions that the project's templates use, and raises KeyError at any other.
    """

    def __init__(self, body: str, parameters: Mapping[str, str], account: Account) -> None:
        self._document: Properties = yaml.load(body, Loader=_Loader)  # noqa: S506 - a SafeLoader
        defaults = {name: str(declared["Default"]) for name, declared in self._document["Parameters"].items()}
        self._account = account
        self._values: dict[str, Value] = {
            "AWS::Partition": account.partition,
            "AWS::Region": account.region,
            "AWS::AccountId": account.number,
            "AWS::NoValue": _NOTHING,
            **defaults,
            **parameters,
        }

    def resources(self, kind: str) -> Iterator[tuple[str, Properties]]:
        """Logical ids and properties of the resources of a type, without those whose condition does not hold."""
        for logical_id, resource in self._document["Resources"].items():
            if resource["Type"] == kind and self._holds(resource.get("Condition")):
                yield logical_id, self._resolved(resource["Properties"])

    def _resolved(self, value: Value) -> Value:
        if isinstance(value, list):
            return [item for item in map(self._resolved, value) if item is not _NOTHING]
        if isinstance(value, _Function):
            return self._called(value)
        if isinstance(value, Mapping):
            found = {key: self._resolved(item) for key, item in value.items()}
            return {key: item for key, item in found.items() if item is not _NOTHING}
        return value

    def _called(self, function: _Function) -> Value:
        match function.name:
            case "Ref":
                return (
                    self._values[function.argument]
                    if function.argument in self._values
                    else self._reference(function.argument)
                )
            case "GetAtt":
                logical_id, _, attribute = function.argument.partition(".")
                return self._reference(logical_id) if attribute == "Arn" else self._name(logical_id)
            case "Sub":
                return self._substituted(function.argument)
            case "If":
                condition, then, otherwise = function.argument
                return self._resolved(then if self._holds(condition) else otherwise)
        raise KeyError(f"!{function.name} is not known here")

    def _reference(self, logical_id: str) -> str:
        service = "sns" if self._document["Resources"][logical_id]["Type"] == "AWS::SNS::Topic" else "sqs"
        account = self._account
        return f"arn:{account.partition}:{service}:{account.region}:{account.number}:{self._name(logical_id)}"

    def _name(self, logical_id: str) -> str:
        properties = self._document["Resources"][logical_id]["Properties"]
        return str(self._resolved(properties.get("QueueName") or properties["TopicName"]))

    def _substituted(self, text: str) -> str:
        for name, value in self._values.items():
            text = text.replace(f"${{{name}}}", str(value))
        return text

    def _holds(self, condition: str | None) -> bool:
        return condition is None or self._is_true(self._document["Conditions"][condition])

    def _is_true(self, expression: _Function) -> bool:
        if expression.name == "Not":
            return not self._is_true(expression.argument[0])
        left, right = map(self._resolved, expression.argument)
        return bool(left == right)


@dataclass(frozen=True, slots=True)
class _Function:
    name: str
    argument: Value


class _Loader(yaml.SafeLoader):
    """YAML with CloudFormation's short forms."""


def _short_form(loader: yaml.SafeLoader, suffix: str, node: yaml.Node) -> _Function:
    if isinstance(node, yaml.ScalarNode):
        return _Function(suffix, loader.construct_scalar(node))
    assert isinstance(node, yaml.SequenceNode), suffix
    return _Function(suffix, loader.construct_sequence(node, deep=True))


_Loader.add_multi_constructor("!", _short_form)
