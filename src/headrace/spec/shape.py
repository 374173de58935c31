"""Rules about the graph of a pipeline: what may meet, what may be gathered, what may be fused."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path as Folder
from typing import Final

from headrace.core.assembly import stage_parents
from headrace.core.effects import written_by
from headrace.core.fields import common, covers
from headrace.core.lineage import Lineage, upstream_first
from headrace.core.liveness import Flow, analyse
from headrace.core.parting import partings
from headrace.core.steps import FunctionStep, GatherStep, JoinMode, SplitStep, Step
from headrace.spec.lint import Path, Report, has_errors
from headrace.spec.models import PipelineSpec
from headrace.spec.reading import check_reading
from headrace.spec.rules import rings
from headrace.spec.skeleton import stages_of, steps_of

_LONGEST_TOPIC: Final = 249


def check_shape(spec: PipelineSpec, report: Report) -> None:
    """Report what is wrong with the graph of a pipeline whose names lead somewhere."""
    steps = steps_of(spec, Folder())
    _check_meetings(steps, report)
    _check_topics(spec, report)
    if has_errors(report.lints):
        return
    lineage = Lineage.of(steps.values())
    stages = stages_of(spec)
    _check_connected(lineage, stages, report)
    _check_stage_rings(lineage, stages, report)
    _check_clashes(lineage, report)
    check_reading(lineage, report)
    if has_errors(report.lints):
        return
    flows = analyse(lineage)
    _check_kept(lineage, flows, report)
    _check_cost(lineage, stages, report)


@dataclass(frozen=True, slots=True)
class _Place:
    """Where records are: their source's topic, and the splits around them."""

    root: str
    splits: tuple[str, ...] = ()

    def __str__(self) -> str:
        inside = f"inside split '{self.splits[-1]}' " if self.splits else ""
        return f"{inside}from '{self.root}'"


def _check_meetings(steps: Mapping[str, Step], report: Report) -> None:
    """Report parents that cannot meet, and gathers that are not inside their split."""
    after: dict[str, _Place | None] = {}
    parents = {name: [each.step for each in step.inlets] for name, step in steps.items()}
    for name in upstream_first(parents):
        step = steps[name]
        places = [after[inlet.step] if inlet.step else _Place(inlet.topic) for inlet in step.inlets]
        # What was refused upstream is nowhere, and nothing more is said about it.
        known = [place for place in places if place is not None]
        after[name] = known[0] if len(known) == len(places) else None
        for inlet, place in zip(step.inlets, places, strict=True):
            if place is not None and place != known[0]:
                first = step.inlets[places.index(known[0])]
                text = (
                    f"step '{name}' joins '{first.parent}', {known[0]},"
                    f" and '{inlet.parent}', {place}: their records never meet"
                )
                hint = (
                    "gather the split first"
                    if place.root == known[0].root
                    else "a join needs one source"
                )
                report.add("E054", ("steps", name, "from"), text, hint)
                after[name] = None
        place = after[name]
        if place is not None and isinstance(step, SplitStep):
            after[name] = _Place(place.root, (*place.splits, name))
        elif place is not None and isinstance(step, GatherStep):
            after[name] = _gathered(step, place, report)


def _gathered(step: GatherStep, place: _Place, report: Report) -> _Place | None:
    """Return where the result of a gather is; report it where it is not inside its split."""
    if place.splits[-1:] == (step.split,):
        return _Place(place.root, place.splits[:-1])
    path = ("steps", step.name, "gather", "split")
    if step.split in place.splits:
        inner = place.splits[-1]
        text = f"step '{step.name}' gathers '{step.split}', but reads inside split '{inner}'"
        report.add("E056", path, text, f"gather '{inner}' first")
    else:
        text = f"step '{step.name}' gathers '{step.split}', but what it reads is not inside it"
        hint = (
            f"it may gather '{place.splits[-1]}'" if place.splits else "read a step after the split"
        )
        report.add("E056", path, text, hint)
    return None


def _check_topics(spec: PipelineSpec, report: Report) -> None:
    """Report topics of the user's that have the name of one of headrace's own, and long ones."""
    begin = f"{spec.topics.prefix}{spec.pipeline}."
    own: dict[str, Path] = {}
    for name, step in spec.steps.items():
        own[begin + name] = ("steps", name)
        for label in step.routes or {}:
            own[f"{begin}{name}.{label}"] = ("steps", name, "routes", label)
    places: dict[str, Path] = {topic: ("sinks", topic) for topic in spec.sinks}
    for name, source in spec.sources.items():
        reader = (step for step, part in spec.steps.items() if name in part.from_)
        places.setdefault(source.topic, ("steps", next(reader, ""), "from"))
    for topic, path in places.items():
        if topic in own:
            text = f"'{topic}' is the name of a topic of headrace's own"
            report.add("E041", path, text, "choose another name, or a prefix under `topics`")
    for topic, path in own.items():
        if len(topic) > _LONGEST_TOPIC:
            text = f"the topic of it, '{topic[:40]}...', would have {len(topic)} characters"
            report.add("E040", path, text, f"Kafka allows {_LONGEST_TOPIC}: choose shorter names")


def _check_connected(lineage: Lineage, stages: Mapping[str, str], report: Report) -> None:
    """Report the steps of a stage that have nothing to do with its first one."""
    for stage in dict.fromkeys(stages.values()):
        inside = [step for step in lineage.steps if stages[step.name] == stage]
        reached, groups = {inside[0].name}, [_touched(step) for step in inside]
        ways = set(groups[0])
        while more := [
            step.name
            for step, group in zip(inside, groups, strict=True)
            if step.name not in reached and not ways.isdisjoint(group)
        ]:
            reached.update(more)
            ways.update(*(_touched(step) for step in inside if step.name in more))
        for step in inside:
            if step.name not in reached:
                text = (
                    f"stage '{stage}': step '{step.name}' has nothing to do with"
                    f" '{inside[0].name}' inside the stage"
                )
                report.add("E061", ("steps", step.name, "stage"), text, "give it another stage")


def _touched(step: Step) -> set[str]:
    """Return what connects a step: itself, its parents, and the topics that it reads."""
    return {f"step {step.name}"}.union(
        f"step {inlet.step}" if inlet.step else f"topic {inlet.topic}" for inlet in step.inlets
    )


def _check_stage_rings(lineage: Lineage, stages: Mapping[str, str], report: Report) -> None:
    for ring in rings(stage_parents(lineage, stages)):
        names = [step.name for step in lineage.steps if stages[step.name] == ring[0]]
        text = f"records leave stage '{ring[0]}' and come back: {' <- '.join((*ring, ring[0]))}"
        hint = "put the steps between them into the stage, too, or take one out"
        report.add("E062", ("steps", names[-1], "stage"), text, hint)


def _check_clashes(lineage: Lineage, report: Report) -> None:
    """Report branches of a join that write one field, and an open one that may be absent."""
    for parting in partings(lineage).values():
        step = parting.step
        if step.join is None or step.join.mode is JoinMode.FIRST:
            continue
        for clash in parting.clashes():
            names = [step.inlets[at].parent for at in (clash.first, clash.second)]
            what = f"write '{clash.path}'" if clash.path else "may write anything"
            text = f"step '{step.name}' joins '{names[0]}' and '{names[1]}', which both {what}"
            hint = f"say `prefer: {names[0]}`, or write different fields"
            if not clash.path:
                hint = "let the functions on the way say what they write, in `writes`"
            report.add("E055", ("steps", step.name, "from"), text, hint)
        for at in parting.unclear():
            field = "optional" if step.inlets[at].is_optional else "prefer"
            text = f"step '{step.name}': '{step.inlets[at].parent}' of '{field}' may write anything"
            hint = "let the functions on the way say what they write, in `writes`"
            report.add("E055", ("steps", step.name, field), text, hint)


def _check_kept(lineage: Lineage, flows: Mapping[str, Flow], report: Report) -> None:
    """Report steps inside a split that lose or overwrite what its gather puts back."""
    for gather in (step for step in lineage.steps if isinstance(step, GatherStep)):
        kept = flows[gather.name].kept
        around = lineage.entering[gather.name]
        for name in sorted(lineage.ancestors[gather.name] - {gather.name}):
            step = next(step for step in lineage.steps if step.name == name)
            if lineage.entering[name] == around:
                for path, text, hint in _losses(step, gather, kept):
                    report.add("E064", path, text, hint)
                _check_open(step, gather, kept, report)


def _losses(
    step: Step, gather: GatherStep, kept: tuple[str, ...]
) -> Iterator[tuple[Path, str, str]]:
    who = f"what gather '{gather.name}' takes from split '{gather.split}'"
    path: Path = ("steps", step.name)
    if isinstance(step, SplitStep):
        for lost in (each for each in kept if not covers(step.keep, each)):
            text = f"split '{step.name}' loses '{lost}', {who}"
            yield (*path, "split"), text, f"add '{lost}' to its `keep`"
        return
    written = written_by(step)
    both = common(kept, written) if written is not None else ()
    for field in both or ():
        yield path, f"step '{step.name}' writes '{field}', {who}", "write to another field"


def _check_open(step: Step, gather: GatherStep, kept: tuple[str, ...], report: Report) -> None:
    if isinstance(step, FunctionStep) and step.writes is None and kept:
        text = (
            f"what step '{step.name}' returns must have '{kept[0]}', which gather '{gather.name}'"
            f" takes from split '{gather.split}'"
        )
        hint = "say what the function writes, in `writes`, and the rest stays"
        report.add("W054", ("steps", step.name, "function"), text, hint)


def _check_cost(lineage: Lineage, stages: Mapping[str, str], report: Report) -> None:
    """Tell of functions that make topics carry whole documents."""
    for step in lineage.steps:
        if not isinstance(step, FunctionStep) or step.reads is not None:
            continue
        unfused = [
            each for each in step.inlets if each.step and stages[each.step] != stages[step.name]
        ]
        if unfused:
            text = (
                f"whole documents are carried from '{unfused[0].parent}' to '{step.name}', because"
                " the function does not say what it reads"
            )
            report.add("N061", ("steps", step.name, "function"), text, "list it in `reads`")
