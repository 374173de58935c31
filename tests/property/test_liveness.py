"""Documents restricted as compiled, against whole documents."""

from functools import reduce

from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.core.assembly import Frame, assemble
from headrace.core.fields import overlay, projection
from headrace.core.lineage import Lineage
from headrace.core.steps import FunctionStep, GatherStep, JoinMode, ModelStep, SplitStep
from headrace.core.topology import Source
from tests.property.dags import dags

DOCUMENT = {"a": ["a", 1], "b": ["b", 2], "c": ["c", 3]}


def may_write(step):
    """Return what a step may write, `*` for anything."""
    if isinstance(step, ModelStep):
        return {each.path for each in step.outputs}
    if isinstance(step, FunctionStep):
        return {"*"} if step.writes is None else {*step.writes}
    return {step.into} if isinstance(step, GatherStep) else set()


def call(step, document):
    """Return what a step writes, as a text of everything that it reads."""
    if isinstance(step, ModelStep):
        seen = {each.path: document.get(each.path) for each in step.inputs}
        return {each.path: [f"{step.name}.{each.path}", seen] for each in step.outputs}
    seen = {k: v for k, v in document.items() if step.reads is None or k in step.reads}
    if step.writes is None:
        return {**seen, "c": [step.name, dict(seen)]}
    # A function may leave out what it may write.
    return {path: [f"{step.name}.{path}", seen] for path in step.writes[1:]}


class Whole:
    """Every step sees the whole document; a join takes each field from who wrote it last."""

    def __init__(self, steps, absent, orders):
        self.absent = absent
        self.orders = orders
        self.lineage = Lineage.of(steps.values())
        self.results = {"": {(): dict(DOCUMENT)}}
        for step in self.lineage.steps:
            self.results[step.name] = self.run(step)

    def run(self, step):
        parts = [self.results[inlet.step] for inlet in step.inlets]
        ids = dict.fromkeys(each for part in parts for each in part)
        met = {each: self.meet(step, [part.get(each) for part in parts]) for each in ids}
        met = {each: document for each, document in met.items() if document is not None}
        if isinstance(step, SplitStep):
            return {
                (*each, at): {
                    **{name: document[name] for name in step.keep if name in document},
                    step.as_: element,
                }
                for each, document in met.items()
                for at, element in enumerate(document.get(step.each, []))
            }
        if isinstance(step, GatherStep):
            return self.gather(step, met)
        return {
            each: self.changed(step, document)
            for each, document in met.items()
            if (step.name, each) not in self.absent
        }

    def meet(self, step, parts):
        if step.join is None:
            return parts[0]
        if step.join.mode is JoinMode.FIRST:
            return next((part for part in parts if part is not None), None)
        if any(
            part is None and not inlet.is_optional
            for inlet, part in zip(step.inlets, parts, strict=True)
        ):
            return None
        present = [at for at, part in enumerate(parts) if part is not None]
        carrier, *over = self.orders[step.name]
        names = dict.fromkeys(name for at in present for name in parts[at])
        newest = {
            name: self.newest(step, name, carrier, [at for at in over if name in (parts[at] or ())])
            for name in names
        }
        return {name: parts[at][name] for name, at in newest.items() if name in parts[at]}

    def newest(self, step, name, carrier, having):
        """Return the part whose branch may have written a field since the branches parted."""
        for at in reversed(having):
            rivals = [other for other in (carrier, *having) if other != at]
            is_beaten = any(self.beats(step, name, other, at) for other in rivals)
            if self.is_newer(step, name, at, carrier) and not is_beaten:
                return at
        return carrier

    def beats(self, step, name, one, other):
        if not self.is_newer(step, name, one, other):
            return False
        if not self.is_newer(step, name, other, one):
            return True
        # Both wrote it: the preferred one wins, and the one that says so over one that may.
        says, also = (
            self.is_newer(step, name, *pair, said=True) for pair in ((one, other), (other, one))
        )
        return one == step.join.prefer or (says and not also and other != step.join.prefer)

    def is_newer(self, step, name, one, other, *, said=False):
        ours, theirs = (
            self.lineage.ancestors.get(step.inlets[at].step, frozenset()) for at in (one, other)
        )
        level = self.lineage.entering[step.name]
        written = [
            may_write(self.lineage.named(each))
            for each in ours - theirs
            if self.lineage.leaving[each] == level
        ]
        return any(name in each or (not said and "*" in each) for each in written)

    def changed(self, step, document):
        is_new = isinstance(step, FunctionStep) and step.writes is None
        return {**({} if is_new else document), **call(step, document)}

    def gather(self, step, met):
        found = {}
        for each, document in met.items():
            child = {
                name: value
                for name, value in document.items()
                if step.fields is None or name in step.fields
            }
            keep = self.lineage.named(step.split).keep
            first = {name: document[name] for name in keep if name in document}
            parent = found.setdefault(each[:-1], {**first, step.into: []})
            parent[step.into].append(child)
        return found

    def sinks(self):
        return {
            (sink.topic, each): restricted(sink, document)
            for step in self.lineage.steps
            for sink in step.sinks
            for each, document in self.results[step.name].items()
        }


class Restricted:
    """Every step sees what its inlets bring, as the compiled pipeline says."""

    def __init__(self, stages, absent):
        self.absent = absent
        self.steps = {step.name: step for stage in stages for step in stage.steps}
        self.results = {"": {(): dict(DOCUMENT)}}
        for step in self.steps.values():
            self.results[step.name] = self.run(step)

    def run(self, step):
        parts = [self.arriving(step, at) for at in range(len(step.inlets))]
        ids = dict.fromkeys(each for part in parts for each in part)
        met = {each: self.meet(step, [part.get(each) for part in parts]) for each in ids}
        met = {each: document for each, document in met.items() if document is not None}
        if isinstance(step, SplitStep):
            keep = projection(step.keep)
            return {
                (*each, at): {**keep(document), step.as_: element}
                for each, document in met.items()
                for at, element in enumerate(document.get(step.each, []))
            }
        if isinstance(step, GatherStep):
            found = {}
            for each, document in met.items():
                parent = found.setdefault(
                    each[:-1], {**projection(step.keep)(document), step.into: []}
                )
                parent[step.into].append(projection(step.fields)(document))
            return found
        return {
            each: {
                **({} if getattr(step, "writes", ()) is None else document),
                **call(step, document),
            }
            for each, document in met.items()
            if (step.name, each) not in self.absent
        }

    def arriving(self, step, at):
        """Return what came through the topic or the way in memory of an inlet."""
        inlet = step.inlets[at]
        select = [projection(inlet.fields)]
        if inlet.topic and inlet.step:
            parent = self.steps[inlet.step]
            (outlet,) = [each for each in parent.outlets if each.topic == inlet.topic]
            select.insert(0, projection(outlet.fields))
        elif inlet.step:
            links = self.steps[inlet.step].links
            (link,) = [each for each in links if (each.step, each.inlet) == (step.name, at)]
            assert link.fields == inlet.fields
        arrived = {}
        for each, document in self.results[inlet.step].items():
            arrived[each] = reduce(lambda whole, restrict: restrict(whole), select, document)
        return arrived

    def meet(self, step, parts):
        if step.join is None:
            return parts[0]
        if step.join.mode is JoinMode.FIRST:
            return next((part for part in parts if part is not None), None)
        inlets = step.inlets
        if any(p is None and not i.is_optional for i, p in zip(inlets, parts, strict=True)):
            return None
        document = parts[step.join.carrier]
        for at in step.join.order:
            if parts[at] is not None:
                document = overlay(inlets[at].fields)(document, parts[at])
        return document

    def sinks(self):
        return {
            (sink.topic, each): restricted(sink, document)
            for step in self.steps.values()
            for sink in step.sinks
            for each, document in self.results[step.name].items()
        }


def restricted(sink, document):
    fields = {*sink.fields, sink.key} - {""} if sink.fields else None
    return {k: v for k, v in document.items() if fields is None or k in fields}


def fused(steps, draw):
    """Return stages that records never leave and come back to: chains of single parents."""
    stages = {}
    for name, step in steps.items():
        parent = step.inlets[0].step
        can = step.join is None and parent
        stages[name] = stages[parent] if can and draw(st.booleans()) else name
    return stages


@given(dags(), st.data())
@settings(max_examples=150, deadline=None)
def test_restricted_documents_give_the_same_results_as_whole_ones(steps, data):
    absent = set()
    for step in steps.values():
        if any(
            inlet.is_optional
            for each in steps.values()
            for inlet in each.inlets
            if inlet.step == step.name
        ):
            absent |= {(step.name, id_) for id_ in [()] if data.draw(st.booleans())}
    frame = Frame("p", "", {"source": Source("source")})
    stages = assemble(frame, steps.values(), fused(steps, data.draw))

    restricted_run = Restricted(stages, absent)
    orders = {
        name: (step.join.carrier, *step.join.order)
        for name, step in restricted_run.steps.items()
        if step.join
    }
    assert restricted_run.sinks() == Whole(steps, absent, orders).sinks()
