# ruff: noqa: E501 - a table of whole messages
"""Every way in which the steps of a DAG can be wrong, and the line of text that says so."""

import pytest

HEAD = """\
pipeline: p
models: {m: {url: grpc://a:1}}
steps:
"""
CALL = "model: m, inputs: {x: text}"
SPLIT = "  cut: {from: docs, split: {each: pages, as: page, keep: [id]}}"
PAGE = "  read: {from: cut, model: m, inputs: {x: page.text}, outputs: {kind: y}}"


@pytest.fixture
def said(lint):
    """Lint some steps and sinks; return the errors and warnings as text, without the file."""

    def run(*steps, sinks="out: last"):
        checked = lint(HEAD + "\n".join(steps) + f"\nsinks: {{{sinks}}}\n")
        lines = checked.text.splitlines()
        # What nobody uses and what it costs have tests of their own.
        told = [line for line in lines if ": N06" not in line and ": W050" not in line]
        return [line.removeprefix("file.yaml:") for line in told]

    return run


@pytest.mark.parametrize(
    ("step", "problem"),
    [
        ("{}", "4: E010 step 'last' needs 'model'; or 'function', 'split' or 'gather'"),
        ("{from: docs}", "4: E010 step 'last' needs 'model'; or 'function', 'split' or 'gather'"),
        ("{from: docs, model: m}", "4: E010 step 'last' needs 'outputs'"),
        ("{from: docs, function: null, model: m}", "4: E010 step 'last' needs 'inputs'"),
        ("{from: docs, function: a:b, split: {each: a, as: b}}", "4: E050 step 'last' has 'function' and 'split': a step does one thing; make a step of each"),
        ("{from: docs, function: a:b, inputs: {x: y}}", "4: E051 'inputs' of step 'last' does not belong to a function; a function says what it `reads`"),
        ("{from: docs, split: {each: a, as: b}, inputs: {x: y}}", "4: E051 'inputs' of step 'last' does not belong to a split; it is for a model"),
        ("{from: docs, split: {each: a, as: b}, batch: {max_size: 3}}", "4: E051 'batch' of step 'last' does not belong to a split; it is for a model or a function"),
        ("{from: docs, model: m, writes: [a]}", "4: E051 'writes' of step 'last' does not belong to a model; it is for a function"),
        ("{from: docs, gather: {split: cut, into: b}, when: a > 1}", "4: E051 'when' of step 'last' does not belong to a gather; put the gate on a step before or after it"),
        ("{from: docs, model: m, prefer: docs}", "4: E052 'prefer' of step 'last' is for a join, and the step reads one parent; a join reads several steps"),
        ("{from: cut, gather: {split: cut, into: b}, timeout: 3s}", "4: E052 'timeout' of step 'last' is for a join, and the step reads one parent; move it under `gather`"),
        ("{from: [a, b], join: first, optional: a}", "4: E052 step 'last': 'optional' has no meaning with 'join: first'; it takes the first parent in listed order that has a result"),
        ("{from: [a, b], optional: [a, b]}", "4: E052 step 'last': all parents are optional, so nothing would have to come; leave one of them out"),
        ("{from: [alpha, beta], optional: [alpa]}", "4: E053 'optional' of step 'last' names 'alpa', which it does not read; did you mean 'alpha'?"),
        ("{from: [alpha, beta], prefer: zzz}", "4: E053 'prefer' of step 'last' names 'zzz', which it does not read; there is: alpha, beta"),
        ("{from: [a, a]}", "4: E038 step 'last' reads 'a' twice; once is enough"),
        ("{from: docs, routes: {a: else, b: x > 1}}", "4: E058 step 'last': 'a' takes everything else, so it must be the last route; move it behind 'b'"),
        ("{from: docs, routes: {a.b: else}}", "4: E040 'a.b' cannot be a name: letters, digits, '_' and '-', at most 80"),
        ("{from: docs, routes: {retry: else}}", "4: E041 the name 'retry' is kept for headrace; choose another name"),
        ("{from: docs, routes: {}}", "4: E013 'routes' of step 'last', not a mapping: must not be empty"),
        ("{from: docs, function: rules.py}", "4: E060 'function' of step 'last': 'rules.py' is not module:callable; write it like rules:drop_impossible, a function of rules.py beside this file"),
        ("{from: docs, function: 'rules:<lambda>'}", "4: E060 'function' of step 'last': 'rules:<lambda>' is not module:callable; workers import it: give a lambda or an inner function a name in its module"),
        ("{from: docs, function: {call: a:b, pool: fork}}", "4: E013 'function.pool' of step 'last', not 'fork': must be 'thread' or 'process'"),
        ("{from: docs, split: {each: a, as: b.c, keep: [id, b]}}", "4: E064 'split' of step 'last': 'as' writes 'b.c' over what `keep` keeps; give the element another path"),
        ("{from: docs, split: {each: a, as: b, max_children: 10001}}", "4: E013 'split.max_children' of step 'last', not 10001: must be less than or equal to 10000"),
        ("{from: docs, gather: {split: cut, into: b, max_bytes: 16}}", "4: E012 'gather.max_bytes' of step 'last': expects a size with its unit; write it like 512KiB or 16MiB"),
        ("{from: docs, gather: {split: cut, into: b, max_bytes: 2GiB}}", "4: E013 'gather.max_bytes' of step 'last': must be between 1KiB and 1GiB"),
        ("{from: docs, gather: {split: cut, into: b}}", "4: E056 step 'last' gathers 'cut', which is no step; add a split step"),
        ("{from: docs, gather: {split: last, into: b}}", "4: E056 step 'last' gathers 'last', which is no split; add a split step"),
        ("{from: docs, deadline: 5s}", "4: E011 unknown field 'deadline' in step 'last'"),
    ],
)  # fmt: skip
def test_a_step_that_is_wrong_in_itself_is_told_so(said, step, problem):
    lines = said(f"  last: {step}")

    assert any(line.startswith(problem) for line in lines), lines


@pytest.mark.parametrize(
    ("model", "problem"),
    [
        ("versions: {'3': 95, '4': 6}", "2: E063 model 'm': the shares of 'versions' add up to 101, not to 100; they are percentages"),
        ("versions: {'3': 100}, version: '3'", "2: E063 model 'm': 'version' and 'versions' exclude each other; keep one"),
        ("versions: {'3': 0, '4': 100}", "2: E013 'versions.3' of model 'm', not 0: must be greater than or equal to 1"),
    ],
)  # fmt: skip
def test_shares_of_versions_that_are_no_whole_are_refused(lint, model, problem):
    text = (
        HEAD.replace("a:1}", f"a:1, {model}}}") + f"  last: {{from: t, {CALL}, outputs: {{y: y}}}}"
    )

    lines = lint(text + "\nsinks: {out: last}\n").text.splitlines()

    assert f"file.yaml:{problem}" in lines


def step(name, parents, writes="y", more=""):
    return f"  {name}: {{from: {parents}, {CALL}, outputs: {{{writes}: y}}{more}}}"


@pytest.mark.parametrize(
    ("steps", "problems"),
    [
        # Routes.
        ([step("kind", "docs", more=", routes: {note: y > 1}"), step("last", "kind.nte")],
         ["5: E037 step 'last' reads 'nte' of 'kind', which has no such route; did you mean 'note'?"]),
        ([step("kind", "docs"), step("last", "kind.note")],
         ["5: E037 step 'last' reads 'note' of 'kind', which has no such route; 'kind' has no routes; for a topic of that name, declare it in `sources`"]),
        ([step("sorted", "docs", more=", routes: {note: y > 1}"), step("last", "sortd.note")],
         ["5: E035 step 'last' reads 'sortd.note', which is almost the step 'sorted.note'; did you mean 'sorted.note'? For a topic, write sources: {sortd.note: sortd.note}"]),
        ([step("kind", "last.a"), step("last", "kind.b", more=", routes: {a: y > 1}")],
         ["5: E037 step 'last' reads 'b' of 'kind', which has no such route; 'kind' has no routes; for a topic of that name, declare it in `sources`",
          "4: E030 steps read each other in a ring: kind <- last <- kind"]),
        # What meets.
        ([step("a", "one"), step("b", "two"), step("last", "[a, b]")],
         ["6: E054 step 'last' joins 'a', from 'one', and 'b', from 'two': their records never meet; a join needs one source"]),
        ([step("last", "[one, two]")],
         ["4: E054 step 'last' joins 'one', from 'one', and 'two', from 'two': their records never meet; a join needs one source"]),
        ([SPLIT, PAGE, step("last", "[docs, read]", "z")],
         ["6: E054 step 'last' joins 'docs', from 'docs', and 'read', inside split 'cut' from 'docs': their records never meet; gather the split first"]),
        # A step after a refused one says nothing more.
        ([step("a", "[one, two]"), step("b", "[a, two]"), step("last", "b")],
         ["4: E054 step 'a' joins 'one', from 'one', and 'two', from 'two': their records never meet; a join needs one source"]),
        ([SPLIT, "  last: {from: docs, gather: {split: cut, into: pages}}"],
         ["5: E056 step 'last' gathers 'cut', but what it reads is not inside it; read a step after the split"]),
        ([SPLIT, "  in: {from: cut, split: {each: page.lines, as: line, keep: [id]}}", "  last: {from: in, gather: {split: cut, into: pages}}"],
         ["6: E056 step 'last' gathers 'cut', but reads inside split 'in'; gather 'in' first"]),
        ([SPLIT, "  other: {from: docs, split: {each: rows, as: row}}", "  last: {from: other, gather: {split: cut, into: pages}}"],
         ["6: E056 step 'last' gathers 'cut', but what it reads is not inside it; it may gather 'other'"]),
        # Two branches, one field.
        ([step("a", "docs"), step("b", "docs"), step("last", "[a, b]", "z")],
         ["6: E055 step 'last' joins 'a' and 'b', which both write 'y'; say `prefer: a`, or write different fields"]),
        ([step("a", "docs", "y.k"), step("b", "docs"), step("last", "[a, b]", "z", ", prefer: a, optional: b")],
         ["6: E055 step 'last' joins 'a' and 'b', which both write 'y.k'; say `prefer: a`, or write different fields"]),
        ([step("a", "docs", "y.k"), step("b", "docs"), step("last", "[a, b]", "z", ", prefer: a")], []),
        (["  a: {from: docs, function: r:a}", "  b: {from: docs, function: r:b}", step("last", "[a, b]", "z")],
         ["6: E055 step 'last' joins 'a' and 'b', which both may write anything; let the functions on the way say what they write, in `writes`"]),
        (["  a: {from: docs, function: r:a}", step("b", "docs"), step("last", "[a, b]", "z", ", optional: a")],
         ["6: E055 step 'last': 'a' of 'optional' may write anything; let the functions on the way say what they write, in `writes`"]),
        (["  a: {from: docs, function: r:a}", step("b", "docs"), step("last", "[a, b]", "z", ", prefer: a")],
         ["6: E055 step 'last': 'a' of 'prefer' may write anything; let the functions on the way say what they write, in `writes`"]),
        # Fields that nobody writes.
        ([SPLIT, "  last: {from: cut, model: m, inputs: {x: pag.text}, outputs: {kind: y}}"],
         ["5: E057 step 'last' reads 'pag.text', which nothing before it writes; did you mean 'page'?"]),
        ([SPLIT, "  last: {from: cut, model: m, inputs: {x: {path: text, default: ''}}, outputs: {kind: y}}"], []),
        ([SPLIT, PAGE, "  last: {from: read, gather: {split: cut, into: pages, fields: [kin]}}"],
         ["6: E057 step 'last' reads 'kin', which nothing before it writes; did you mean 'kind'?"]),
        ([SPLIT, PAGE, "  g: {from: read, gather: {split: cut, into: all}}", step("last", "g")],
         ["7: E057 step 'last' reads 'text', which nothing before it writes; there is: all, id"]),
        ([SPLIT, "  last: {from: cut, function: r:f, reads: [page.text, nothing], writes: kind}"],
         ["5: E057 step 'last' reads 'nothing', which nothing before it writes; there is: id, page"]),
        ([SPLIT, "  f: {from: cut, function: r:f}", step("last", "f")], []),
        ([SPLIT, "  last: {from: cut, when: page.kind == typ, model: m, inputs: {x: page}, outputs: {type: y}, routes: {a: type == tpe, b: else}}"],
         ["5: E057 step 'last' reads 'tpe', which nothing before it writes; did you mean 'type'?",
          "5: E057 step 'last' reads 'typ', which nothing before it writes; there is: id, page"]),
        ([step("first", "docs", "entities"), "  last: {from: first, model: m, inputs: {x: entites, t: text}, outputs: {z: z}}"],
         ["5: W053 step 'last' reads 'entites', which is almost 'entities', written before it; did you mean 'entities'?"]),
        ([step("first", "docs", "entities.all"), "  last: {from: first, model: m, inputs: {x: entities, t: entities.all.0.x}, outputs: {z: z}}"], []),
        ([SPLIT.replace("[id]", "[id, pagse]"), step("last", "cut", "z").replace("text", "page.text")], []),
        # What a gather puts back.
        ([SPLIT, "  read: {from: cut, model: m, inputs: {x: page}, outputs: {id: y}}", "  last: {from: read, gather: {split: cut, into: pages}}"],
         ["5: E064 step 'read' writes 'id', what gather 'last' takes from split 'cut'; write to another field"]),
        ([SPLIT, "  in: {from: cut, split: {each: page, as: row}}", "  g: {from: in, gather: {split: in, into: rows}}", "  last: {from: g, gather: {split: cut, into: pages}}"],
         ["5: E064 split 'in' loses 'id', what gather 'last' takes from split 'cut'; add 'id' to its `keep`"]),
        ([SPLIT, "  f: {from: cut, function: r:f}", "  last: {from: f, gather: {split: cut, into: pages}}"],
         ["5: W054 what step 'f' returns must have 'id', which gather 'last' takes from split 'cut'; say what the function writes, in `writes`, and the rest stays"]),
        # Stages.
        ([step("a", "docs", more=", stage: s"), step("b", "a"), step("last", "b", "z", ", stage: s")],
         ["6: E061 stage 's': step 'last' has nothing to do with 'a' inside the stage; give it another stage",
          "6: E062 records leave stage 's' and come back: s <- b <- s; put the steps between them into the stage, too, or take one out"]),
        ([step("a", "docs", more=", stage: s"), step("b", "a"), step("last", "[a, b]", "z", ", stage: s, prefer: a")],
         ["6: E062 records leave stage 's' and come back: s <- b <- s; put the steps between them into the stage, too, or take one out"]),
        ([step("a", "docs", more=", stage: last"), step("last", "a", "z")],
         ["4: E061 step 'a' is in stage 'last', but step 'last' is in one of its own; their consumer groups need two names"]),
        ([step("a", "docs", more=", stage: last"), step("last", "a", "z", ", stage: last")], []),
        ([step("a", "docs", more=", stage: s"), step("last", "docs", "z", ", stage: s"), step("c", "a", "w", ", stage: s")],
         []),
        ([step("k" * 80, "docs", more=f", routes: {{{'a' * 80}: else}}"), step("last", "k" * 80, "z")], []),
    ],
)  # fmt: skip
def test_steps_that_do_not_fit_together_are_told_so(said, steps, problems):
    lines = said(*steps)

    assert sorted(lines) == sorted(problems)


@pytest.mark.parametrize(
    ("sinks", "problem"),
    [
        ("out: lst", "6: E033 sink 'out' takes from unknown step 'lst'; did you mean 'last'?"),
        ("out: [last, kind.a, last]", "6: E038 sink 'out' takes from 'last' twice; once is enough"),
        ("out: [last, kind.b]", "6: E037 sink 'out' reads 'b' of 'kind', which has no such route; there is: a"),
        ("out: last, p.kind: kind", "6: E041 'p.kind' is the name of a topic of headrace's own; choose another name, or a prefix under `topics`"),
        ("out: {from: last, fields: [y.z, zz]}", None),
        ("out: {from: [last, kind.a], key: id}", None),
    ],
)  # fmt: skip
def test_a_sink_takes_from_what_there_is(said, sinks, problem):
    lines = said(
        step("kind", "docs", more=", routes: {a: else}"), step("last", "kind.a", "z"), sinks=sinks
    )

    assert lines == [problem] if problem else lines == []


def test_what_a_sink_names_is_there_or_almost_there(said):
    assert said(SPLIT, PAGE, sinks="out: {from: read, fields: [kin], key: ids}") == [
        "6: E057 sink 'out' reads 'kin', which nothing before it writes; did you mean 'kind'?",
        "6: E057 sink 'out' reads 'ids', which nothing before it writes; did you mean 'id'?",
    ]
    assert said(
        step("last", "docs", "translation"), sinks="out: {from: last, fields: transltion}"
    ) == [
        "5: W053 sink 'out' reads 'transltion', which is almost 'translation', written before it; did you mean 'translation'?"
    ]


def test_topics_get_no_names_that_kafka_refuses(lint):
    name, label = "k" * 80, "a" * 80
    steps = step(name, "docs", more=f", routes: {{{label}: else}}")
    text = (
        HEAD.replace("pipeline: p", f"pipeline: {'p' * 80}\ntopics: {{prefix: {'x' * 20}}}") + steps
    )

    lines = lint(f"{text}\nsinks: {{out: {name}.{label}}}\n").text.splitlines()

    assert lines == [
        f"file.yaml:5: E040 the topic of it, '{'x' * 20}{'p' * 20}...', would have 262 characters; Kafka allows 249: choose shorter names"
    ]


def test_a_source_cannot_be_a_topic_that_a_step_writes(lint):
    steps = f"{step('kind', 'a', more=', routes: {a: else}')}\n{step('last', 'b', 'z')}"

    found = lint(f"sources: {{a: p.last, b: p.kind.a}}\n{HEAD}{steps}\nsinks: {{out: last}}\n")

    assert [line for line in found.text.splitlines() if "W050" not in line] == [
        "file.yaml:5: E041 'p.last' is the name of a topic of headrace's own; choose another name, or a prefix under `topics`",
        "file.yaml:6: E041 'p.kind.a' is the name of a topic of headrace's own; choose another name, or a prefix under `topics`",
    ]


def test_a_route_and_a_step_that_nobody_reads_are_warnings(lint):
    steps = [
        step("kind", "docs", more=", routes: {note: y > 1, rest: else}"),
        step("last", "kind.note", "z"),
        step("idle", "docs"),
    ]

    found = lint(HEAD + "\n".join(steps) + "\nsinks: {out: last}\n")

    assert found.text.splitlines() == [
        "file.yaml:4: W050 route 'rest' of step 'kind' is never used: its records end there",
        "file.yaml:6: W050 'idle' of steps is never used",
    ]


def test_a_function_that_does_not_say_what_it_reads_costs_and_lint_says_so(lint):
    steps = [step("first", "docs"), "  last: {from: first, function: r:f, writes: z}"]
    text = HEAD + "\n".join(steps) + "\nsinks: {out: last}\n"
    note = (
        "file.yaml:5: N061 whole documents are carried from 'first' to 'last', because the function"
        " does not say what it reads; list it in `reads`"
    )

    assert lint(text).text == note
    assert lint(text.replace("writes: z", "writes: z, reads: y")).text == ""
    assert (
        lint(text.replace("from: first", "from: docs").replace("out:", "o: first, out:")).text == ""
    )


def test_a_declared_source_goes_before_a_route(lint):
    text = HEAD + step("last", "last.a", "z", ", routes: {a: else}") + "\nsinks: {out: last}\n"

    found = lint("sources: {last.a: topic}\n" + text)

    assert [line for line in found.text.splitlines() if " E" in line] == []
    assert found.spec.sources["last.a"].topic == "topic"


def test_every_problem_of_the_steps_is_told_at_once(said):
    lines = said(
        "  a: {from: docs, split: {each: x, as: y}, inputs: {a: b}}",
        "  b: {from: [docs, a], optional: c, function: f}",
        "  last: {from: a.b, gather: {split: b, into: z}}",
    )

    assert [line.split()[:2] for line in lines] == [
        ["4:", "E051"],
        ["5:", "E060"],
        ["5:", "E053"],
        ["6:", "E037"],
        ["6:", "E056"],
    ]
