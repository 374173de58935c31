"""Documents restricted as compiled, against whole documents that know who wrote what."""

from functools import reduce

from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.core.assembly import Frame, assemble
from headrace.core.fields import overlay, projection
from headrace.core.lineage import Lineage
from headrace.core.topology import (
    FunctionStep,
    GatherStep,
    JoinMode,
    ModelStep,
    Source,
    SplitStep,
)
from tests.property.dags import dags

# Every field that may be written is there, so that a join never has to decide that one is not.
DOCUMENT = {name: [name, 1] for name in ["a", "b", "c", "own", *(f"s{n}" for n in range(10))]}


def plain(document):
    """Return a document without who wrote its fields."""
    return {name: value for name, (value, _) in document.items()}


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
    """Every step sees the whole document; each field remembers the step that wrote it."""

    def __init__(self, steps, absent, carriers):
        self.absent = absent
        self.carriers = carriers
        self.lineage = Lineage.of(steps.values())
        self.may_write = {}
        self.results = {"": {(): {name: (value, "") for name, value in DOCUMENT.items()}}}
        for step in self.lineage.steps:
            self.may_write[step.name] = self.what_may_be_written(step)
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
                    step.as_: (element, step.name),
                }
                for each, document in met.items()
                for at, element in enumerate(plain(document).get(step.each, []))
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
            taken = next((part for part in parts if part is not None), None)
            return taken and self.decided(step, taken)
        if any(
            part is None and not inlet.is_optional
            for inlet, part in zip(step.inlets, parts, strict=True)
        ):
            return None
        present = [at for at, part in enumerate(parts) if part is not None]
        carrier = self.carriers[step.name]
        names = dict.fromkeys(parts[carrier])
        for at in present:
            for name, (_, writer) in parts[at].items():
                if self.is_newer(step, writer, carrier):
                    names[name] = None
        return {name: self.newest(step, name, parts, present) for name in names}

    def what_may_be_written(self, step):
        if isinstance(step, ModelStep):
            own = {each.path for each in step.outputs}
        elif isinstance(step, FunctionStep):
            own = {"*"} if step.writes is None else {*step.writes}
        else:
            own = {step.into} if isinstance(step, GatherStep) else set()
        return own | self.differing(step)

    def differing(self, step):
        """Return what one branch of a `first` join may have written and another one not."""
        if step.join is None or step.join.mode is not JoinMode.FIRST:
            return set()
        branches = [self.lineage.ancestors.get(inlet.step, frozenset()) for inlet in step.inlets]
        apart = frozenset.union(*branches) - frozenset.intersection(*branches)
        level = self.lineage.entering[step.name]
        steps = [name for name in apart if self.lineage.leaving[name] == level]
        return set().union(*(self.may_write[name] for name in steps))

    def decided(self, step, taken):
        """A `first` join decides whose value a field has: as if it wrote it."""
        apart = self.differing(step)
        return {
            name: (value, step.name if {name, "*"} & apart else writer)
            for name, (value, writer) in taken.items()
        }

    def newest(self, step, name, parts, present):
        """Return the field of the branch that wrote it since the branches parted."""
        having = [at for at in present if name in parts[at]]
        best = having[0]
        for at in having[1:]:
            mine, its = parts[at][name][1], parts[best][name][1]
            # Of two that wrote it, the one that says so wins over one that may write anything.
            is_weak = "*" in self.may_write.get(mine, ()) and self.is_newer(step, its, at)
            if self.is_newer(step, mine, best) and not is_weak:
                best = at
        prefer = step.join.prefer
        if prefer in having and self.is_newer(step, parts[prefer][name][1], best):
            best = prefer
        return parts[best][name]

    def is_newer(self, step, writer, other):
        theirs = self.lineage.ancestors.get(step.inlets[other].step, frozenset())
        return writer != "" and writer not in theirs

    def changed(self, step, document):
        seen = plain(document)
        written = {name: (value, step.name) for name, value in call(step, seen).items()}
        if isinstance(step, FunctionStep) and step.writes is None:
            return written
        if isinstance(step, FunctionStep):
            # What a function leaves as it was counts as written: it might have been.
            left = {n: (v, step.name) for n, (v, _) in document.items() if n in step.writes}
            document = {**document, **left}
        return {**document, **written}

    def gather(self, step, met):
        found = {}
        for each, document in met.items():
            child = {
                name: value
                for name, value in plain(document).items()
                if step.fields is None or name in step.fields
            }
            keep = self.lineage.named(step.split).keep
            first = {name: document[name] for name in keep if name in document}
            parent = found.setdefault(each[:-1], {**first, step.into: ([], step.name)})
            parent[step.into][0].append(child)
        return found

    def sinks(self):
        return {
            (sink.topic, each): restricted(sink, plain(document))
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
@settings(max_examples=200, deadline=None)
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
    carriers = {name: step.join.carrier for name, step in restricted_run.steps.items() if step.join}
    assert restricted_run.sinks() == Whole(steps, absent, carriers).sinks()
