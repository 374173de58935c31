"""Random pipelines as steps of the core, for tests of what is compiled from them."""

from dataclasses import replace
from itertools import combinations

from hypothesis import strategies as st

from headrace.core.fields import common, minus
from headrace.core.lineage import Lineage
from headrace.core.models import Input, Model, OutputField
from headrace.core.parting import partings
from headrace.core.steps import (
    FunctionStep,
    GatherStep,
    Inlet,
    Join,
    JoinMode,
    ModelStep,
    Sink,
    SplitStep,
)

MODEL = Model("m", ("grpc://a:1",), "m")
SOURCE_FIELDS = ["a", "b", "c"]


class Growing:
    """A DAG under construction; every choice is drawn."""

    def __init__(self, draw):
        self.draw = draw
        self.steps = {}
        self.places = {"": ()}
        self.keeps = []

    def grow(self, count):
        for number in range(count):
            self._add(f"s{number}")
        read = {inlet.step for step in self.steps.values() for inlet in step.inlets}
        for name in self.steps:
            if name not in read or self.draw(st.booleans()):
                self._sink(name)
        return self.steps

    def _add(self, name):
        parents, splits = self._parents()
        inlets = tuple(Inlet(each or "source", "" if each else "source", each) for each in parents)
        join = None
        if len(parents) > 1:
            inlets, join = self._join(inlets)
        common = {"name": name, "inlets": inlets, "join": join}
        kinds = ["model", "model", "function", *["split"] * (len(splits) < 2)]
        kinds += ["gather"] * 3 if splits else []
        step = getattr(self, f"_{self.draw(st.sampled_from(kinds))}")(common, splits)
        self.steps[name] = step
        self.places[name] = splits
        if isinstance(step, SplitStep):
            self.places[name] = (*splits, name)
        if isinstance(step, GatherStep):
            self.places[name] = splits[:-1]
        if join is not None and join.mode is JoinMode.ALL:
            self._without_clashes(name)

    def _parents(self):
        # Late steps first: deep pipelines are the interesting ones.
        first = self.draw(st.sampled_from([*reversed(self.steps), ""]))
        splits = self.places[first]
        others = [name for name, place in self.places.items() if place == splits and name != first]
        more = (
            self.draw(st.lists(st.sampled_from(others), max_size=2, unique=True)) if others else []
        )
        return [first, *more], splits

    def _join(self, inlets):
        mode = self.draw(st.sampled_from([JoinMode.ALL, JoinMode.ALL, JoinMode.FIRST]))
        if mode is JoinMode.FIRST:
            return inlets, Join(mode)
        optional = self.draw(st.sets(st.sampled_from(range(len(inlets))), max_size=2))
        optional -= {0} if len(optional) == len(inlets) else set()
        inlets = tuple(
            replace(inlet, is_optional=at in optional) for at, inlet in enumerate(inlets)
        )
        prefer = self.draw(st.sampled_from([None, *range(len(inlets))]))
        return inlets, Join(prefer=prefer)

    def _without_clashes(self, name):
        """Let the step read one parent where the spec would refuse the join."""
        step = self.steps[name]
        parting = partings(Lineage.of(self.steps.values()))[name]
        if [*parting.unclear(), *parting.clashes()] or self._are_each_newer(parting):
            inlet = replace(step.inlets[0], is_optional=False)
            self.steps[name] = replace(step, inlets=(inlet,), join=None)

    def _are_each_newer(self, parting):
        """Whether of two parts each is newer in something that both have: the order cannot tell."""
        carrier, order = parting.carrier(), parting.order()
        prefer = parting.step.join.prefer
        for one, other in combinations(order, 2):
            newer = parting.since(one, other)
            if other == prefer:
                newer = minus(newer, parting.since(other, one))
            if common(newer, parting.since(other, carrier)) != ():
                return True
        return False

    def _fields(self, splits):
        # What a split keeps must not be written inside it.
        return [f"{'xyz'[len(splits)]}{n}" for n in range(4)] if splits else SOURCE_FIELDS

    def _some(self, splits, least=0):
        names = [*SOURCE_FIELDS, *self._fields(splits), *(step for step in self.steps)]
        return tuple(self.draw(st.lists(st.sampled_from(names), min_size=least, max_size=2)))

    def _written(self, splits):
        names = [*self._fields(splits), "own"]
        return self.draw(st.lists(st.sampled_from(names), min_size=1, max_size=2, unique=True))

    def _model(self, common, splits):
        return ModelStep(
            **common,
            model=MODEL,
            inputs=tuple(Input(path, path) for path in self._some(splits)),
            outputs=tuple(OutputField(path, path) for path in self._written(splits)),
        )

    def _function(self, common, splits):
        is_open = not splits and self.draw(st.integers(0, 3)) == 0
        return FunctionStep(
            **common,
            function="m:f",
            reads=None if is_open else tuple(sorted(set(self._some(splits)))),
            writes=None if is_open else tuple(sorted(self._written(splits))),
        )

    def _split(self, common, splits):
        outer = [self.steps[name].keep for name in splits]
        keep = {*SOURCE_FIELDS[:1]} if self.draw(st.booleans()) else {*SOURCE_FIELDS}
        keep = sorted(keep.union(*outer))
        each = self.draw(st.sampled_from(SOURCE_FIELDS))
        return SplitStep(**common, each=each, as_=f"item{common['name']}", keep=tuple(keep))

    def _gather(self, common, splits):
        fields = self.draw(st.none() | st.just(self._some(splits)))
        return GatherStep(
            **common,
            split=splits[-1],
            into=common["name"],
            fields=None if fields is None else tuple(sorted(set(fields))),
        )

    def _sink(self, name):
        fields = self.draw(st.just(()) | st.just(self._some(self.places[name], 1)))
        step = self.steps[name]
        key = self.draw(st.sampled_from(["", "a"])) if fields else ""
        self.steps[name] = replace(
            step, sinks=(Sink(f"out-{name}", key, tuple(dict.fromkeys(fields))),)
        )


@st.composite
def dags(draw):
    """Draw up to ten steps, by name and upstream first, as a checked file would give them."""
    return Growing(draw).grow(draw(st.integers(1, 10)))
