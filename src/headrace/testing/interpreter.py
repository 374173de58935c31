"""What a pipeline must do, said as simply as possible: one record after the other, in memory.

No Kafka, no batches, no time, nothing that fails by itself. It shares no code with the runtime, so
that the two can be compared: whatever the workers do, after all crashes and rebalances their sinks
and dead letters must hold what the interpreter says.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

from headrace.core.paths import getter, setter
from headrace.core.steps import (
    ELSE,
    Fields,
    FunctionStep,
    GatherStep,
    Inlet,
    ModelStep,
    OnFailed,
    SplitStep,
    Step,
    Tombstones,
)
from headrace.core.topology import Topology
from headrace.errors import (
    DecodeError,
    DocumentError,
    FunctionError,
    HeadraceError,
)
from headrace.ports import Condition
from headrace.testing.documents import canonical, copy_path, projected
from headrace.testing.meetings import DROPPED, Children, Fate, Fates, Kind, Meetings, failed_of

Answer: TypeAlias = Callable[[ModelStep, Sequence[Any]], Sequence[Any]]
"""A model: the values of a step's inputs to one value per output; raises what the call raises."""

Function: TypeAlias = Callable[[Any], Any]
"""A function step's function."""


@dataclass(frozen=True, slots=True)
class Written:
    """What records left behind, each as often as it was written.

    Attributes:
        sinks: (topic, record id, document as JSON with sorted keys, or None for a tombstone).
        dead: (record id, step, error class) of every dead letter.
    """

    sinks: Counter[tuple[str, str, str | None]] = field(default_factory=Counter)
    dead: Counter[tuple[str, str, str]] = field(default_factory=Counter)


class Interpreter:
    """Runs source records through a pipeline, one at a time.

    Args:
        topology: The pipeline.
        answer: Stands for every model.
        functions: By `module:callable`, stands for the functions.
        condition: Compiles a condition of a gate or route.
        whole: Whether steps pass whole documents on, instead of the fields that the topology
            says are needed. The sinks must hold the same.
    """

    def __init__(
        self,
        topology: Topology,
        answer: Answer,
        functions: Mapping[str, Function] | None = None,
        condition: Callable[[str], Condition] | None = None,
        *,
        whole: bool = False,
    ) -> None:
        self.answer = answer
        self.functions = functions or {}
        self.whole = whole
        self.steps = {step.name: step for step in topology.steps}
        self.meetings = Meetings(self.steps, whole=whole)
        asked = {text for step in topology.steps for text in _conditions(step)}
        self.conditions = {text: condition(text) for text in asked} if condition else {}

    def run(self, records: Sequence[tuple[str, str, bytes | None]]) -> Written:
        """Return what all records leave behind; each is (source topic, record id, value)."""
        written = Written()
        for topic, name, value in records:
            one = self.run_one(topic, name, value)
            written.sinks.update(one.sinks)
            written.dead.update(one.dead)
        return written

    def run_one(self, topic: str, name: str, value: bytes | None) -> Written:
        """Return what one record leaves behind."""
        journey = _Journey(self, topic, name, value)
        for step in self.steps:
            journey.fates_of(step)
        return journey.written


class _Journey:
    """One source record on its way through all steps."""

    def __init__(self, rules: Interpreter, topic: str, name: str, value: bytes | None) -> None:
        self.written = Written()
        self._rules = rules
        self._topic = topic
        self._name = name
        self._value = value
        self._fates: dict[str, Fates] = {}
        self._kept: dict[tuple[str, Children], Any] = {}

    def fates_of(self, name: str) -> Fates:
        """Return what became of the record, or of its children, at a step."""
        if name not in self._fates:
            self._fates[name] = dict(self._through(self._rules.steps[name]))
        return self._fates[name]

    # What comes to a step

    def _through(self, step: Step) -> Iterator[tuple[Children, Fate]]:
        arrivals = [self._arriving(step, inlet) for inlet in step.inlets]
        meet = self._rules.meetings.meet
        met = {which: meet(step, [fates[which] for fates in arrivals]) for which in arrivals[0]}
        if isinstance(step, GatherStep):
            met = self._gathered(step, met)
        for which, fate in met.items():
            if fate.is_short:
                self._letter(step, which, "MissingPartError")
            yield from self._at(step, which, replace(fate, is_short=False)).items()

    def _arriving(self, step: Step, inlet: Inlet) -> Fates:
        if not inlet.step:
            return {(): self._read(step, inlet)} if inlet.topic == self._topic else {}
        parent = self._rules.steps[inlet.step]
        written = [each.fields for each in parent.outlets if each.topic == inlet.topic]
        passed = [
            each.fields
            for each in parent.links
            if each.step == step.name and step.inlets[each.inlet] is inlet
        ]
        return {
            which: self._carried(self._taken(fate, inlet.label), [*written, *passed, inlet.fields])
            for which, fate in self.fates_of(inlet.step).items()
        }

    def _read(self, step: Step, inlet: Inlet) -> Fate:
        if self._value is None:
            return Fate(Kind.TOMBSTONE)
        try:
            document = json.loads(self._value)
        except ValueError:
            error = DecodeError("not JSON")
            if step.join is None:
                return self._give_up(step, (), error)
            return Fate(Kind.FAILED, step=step.name, error=type(error).__name__)
        return self._carried(Fate(Kind.RESULT, document), [inlet.fields])

    def _taken(self, fate: Fate, label: str) -> Fate:
        """Return what the readers of a route, or of all routes, learn."""
        if fate.kind is Kind.RESULT and label not in ("", fate.label):
            return DROPPED
        return fate

    def _carried(self, fate: Fate, ways: Sequence[Fields]) -> Fate:
        document = deepcopy(fate.document)
        if fate.kind is Kind.RESULT and not self._rules.whole:
            for fields in ways:
                document = projected(document, fields)
        return replace(fate, document=document, label="")

    # Children back to their parents

    def _gathered(self, step: GatherStep, met: Fates) -> Fates:
        depth = self._depth(step.split)
        gathered: Fates = {}
        families: dict[Children, Fates] = {}
        for which, fate in sorted(met.items()):
            if len(which) > depth:
                families.setdefault(which[:-1], {})[which] = fate
            elif len(which) == depth and fate.kind is Kind.EMPTY:
                families[which] = {}
            else:
                gathered[which] = fate
        for parent, children in families.items():
            gathered[parent] = self._family(step, parent, children)
        return gathered

    def _family(self, step: GatherStep, parent: Children, children: Fates) -> Fate:
        failed = failed_of(list(children.values()))
        if failed and step.on_failed is OnFailed.DEAD_LETTER:
            return failed
        came = [each for each in children.values() if each.kind in (Kind.RESULT, Kind.FAILED)]
        document = projected(self._brought_back(step, parent, came), step.keep)
        setter(step.into)(document, [_child(step, each) for each in came])
        is_short = bool(failed) or any(each.is_short for each in children.values())
        return Fate(Kind.RESULT, document, is_short=is_short)

    def _brought_back(self, step: GatherStep, parent: Children, came: Sequence[Fate]) -> Any:
        """Return a document that holds what the split kept: by way of a child if there is one."""
        by_child = [each.document for each in came if each.kind is Kind.RESULT]
        if by_child and not self._rules.whole:
            return by_child[0]
        return self._kept[step.split, parent]

    def _depth(self, name: str) -> int:
        """Return inside how many splits the records are that enter a step."""
        parent = self._rules.steps[name].inlets[0].step
        if not parent:
            return 0
        match self._rules.steps[parent]:
            case SplitStep():
                return self._depth(parent) + 1
            case GatherStep(split=split):
                return self._depth(split)
        return self._depth(parent)

    # What a step does

    def _at(self, step: Step, which: Children, fate: Fate) -> Fates:
        if fate.kind is Kind.TOMBSTONE:
            return {which: self._tombstone(step, which)}
        if fate.kind is not Kind.RESULT:
            return {which: fate}
        try:
            if step.when and not self._rules.conditions[step.when](fate.document):
                return {which: DROPPED}
            made = self._made(step, which, deepcopy(fate.document))
            routed = {each: self._routed(step, one) for each, one in made.items()}
            for one in routed.values():
                self._check_keys(step, one)
        except HeadraceError as error:
            # All children of a parent, or none: one that has no way fails their parent.
            return {which: self._give_up(step, which, error)}
        for each, one in routed.items():
            self._sink(step, each, one)
        return routed

    def _tombstone(self, step: Step, which: Children) -> Fate:
        match step.tombstones:
            case Tombstones.DROP:
                return DROPPED
            case Tombstones.DEAD_LETTER:
                return self._give_up(step, which, DecodeError("no value"))
        fate = Fate(Kind.TOMBSTONE)
        self._sink(step, which, fate)
        return fate

    def _made(self, step: Step, which: Children, document: Any) -> Fates:
        match step:
            case ModelStep():
                values = self._rules.answer(step, [_input(each, document) for each in step.inputs])
                for output, value in zip(step.outputs, values, strict=True):
                    setter(output.path)(document, value)
            case FunctionStep():
                return {which: self._called(step, document)}
            case SplitStep():
                return self._split(step, which, document)
        return {which: Fate(Kind.RESULT, document)}

    def _called(self, step: FunctionStep, document: Any) -> Fate:
        seen = projected(document, step.reads)
        try:
            answer = self._rules.functions[step.function](seen)
        except Exception as error:
            raise FunctionError(str(error)) from error
        if answer is None:
            return DROPPED
        if not isinstance(answer, dict):
            raise FunctionError(f"not a document: {answer!r}")
        if step.writes is None:
            return Fate(Kind.RESULT, answer)
        for path in step.writes:
            copy_path(path, answer, document)
        return Fate(Kind.RESULT, document)

    def _split(self, step: SplitStep, which: Children, document: Any) -> Fates:
        elements = getter(step.each)(document)
        if not isinstance(elements, list):
            raise DocumentError(f"{step.each} is not a list")
        if len(elements) > step.max_children:
            raise DocumentError(f"more than {step.max_children} elements")
        self._kept[step.name, which] = projected(document, step.keep)
        if not elements:
            return {which: Fate(Kind.EMPTY)}
        children: Fates = {}
        for number, element in enumerate(elements):
            child = projected(document, step.keep)
            setter(step.as_)(child, deepcopy(element))
            children[(*which, number)] = Fate(Kind.RESULT, child)
        return children

    def _routed(self, step: Step, fate: Fate) -> Fate:
        if fate.kind is not Kind.RESULT or not step.routes:
            return fate
        for label, text in step.routes:
            if text == ELSE or self._rules.conditions[text](fate.document):
                return replace(fate, label=label)
        return DROPPED

    # What leaves the pipeline

    def _check_keys(self, step: Step, fate: Fate) -> None:
        for sink in step.sinks:
            if sink.key and fate.kind is Kind.RESULT and sink.label in ("", fate.label):
                getter(sink.key)(fate.document)

    def _sink(self, step: Step, which: Children, fate: Fate) -> None:
        for sink in step.sinks:
            if fate.kind is Kind.TOMBSTONE:
                self.written.sinks[sink.topic, self._id(which), None] += 1
            elif fate.kind is Kind.RESULT and sink.label in ("", fate.label):
                text = canonical(projected(fate.document, sink.fields or None))
                self.written.sinks[sink.topic, self._id(which), text] += 1

    def _give_up(self, step: Step, which: Children, error: HeadraceError) -> Fate:
        name = type(error).__name__
        self._letter(step, which, name)
        return Fate(Kind.FAILED, step=step.name, error=name)

    def _letter(self, step: Step, which: Children, error: str) -> None:
        self.written.dead[self._id(which), step.name, error] += 1

    def _id(self, which: Children) -> str:
        return "/".join((self._name, *map(str, which)))


def _input(bound: Any, document: Any) -> Any:
    if bound.has_default:
        return getter(bound.path, bound.default)(document)
    return getter(bound.path)(document)


def _child(step: GatherStep, fate: Fate) -> Any:
    if fate.kind is Kind.RESULT:
        return projected(fate.document, step.fields)
    return {"failed": {"step": fate.step, "error": fate.error, "message": ""}}


def _conditions(step: Step) -> set[str]:
    texts = {step.when, *(text for _, text in step.routes)}
    return texts - {"", ELSE}
