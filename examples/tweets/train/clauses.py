"""Statements: somebody does something, somebody is something, something is like something."""

from dataclasses import dataclass

from lexicon import Pair
from morphology import PERSONS
from phrases import MOTION, PRONOUNS, Phrases, Predicate, Subject, be, joined

_TENSES = (
    *("present", *["past"] * 3, *["progressive"] * 2, "going_to", "will", "want", "have_to"),
    *("can", "cannot", "negative", "negative_past", "perfect", "need", "used_to"),
    *("past_progressive", "let_us", "try_to", "cannot_stop", "should"),
)
_PERFECT = ("he", "has", "ha", "hemos", "han")  # by person, as PERSONS
_SHOULD = ("debería", "deberías", "debería", "deberíamos", "deberían")
_FEMININE_STATES = {"hambre", "sed", "suerte", "razón"}
_STRONG_ADJECTIVES = {
    *("genial", "perfecto", "increíble", "impresionante", "fantástico", "maravilloso"),
    *("terrible", "horrible", "enorme", "delicioso", "gratis"),
}
_NOT_A_QUALITY = {
    *("free", "cold", "hot", "local", "official", "real", "red", "blue", "green", "white"),
    *("black", "short", "favorite"),
}
_THINGS = (
    *("media", "text", "food", "thing", "place", "task", "abs", "abs", "music"),
    *("animal", "foodu"),
)
_DEGREES: list[Pair] = [
    *(("", ""), ("", ""), ("so", "tan"), ("very", "muy"), ("really", "muy")),
]
_LIKING = (
    ("love", "loves", "encanta", "", ""),
    ("love", "loves", "encanta", "", ""),
    ("like", "likes", "gusta", "", ""),
    ("don't like", "doesn't like", "gusta", "no ", ""),
    ("really like", "really likes", "gusta", "", " mucho"),
    ("hate", "hates", "gusta", "no ", " nada"),
    ("love", "loves", "encanta", "", ""),
)


@dataclass(frozen=True, slots=True)
class Plan:
    """What one clause is made of, before its tense is."""

    subject: Subject
    does: Predicate
    spoken: str  # the Spanish subject, empty where it is left out
    present: Pair
    past: Pair
    future: Pair

    @property
    def do(self) -> str:
        """The auxiliary of English negations."""
        return "does" if self.subject.is_third else "do"


class Clauses:
    """Draws statements."""

    def __init__(self, phrases: Phrases) -> None:
        self._phrases = phrases
        self._dice = phrases.dice
        self._words = phrases.lexicon
        self._forms = phrases.forms
        self.qualities = [word for word in self._words.adjectives if word not in _NOT_A_QUALITY]

    def infinitive(self, verb: str) -> str:
        """Give the infinitive of a Spanish verb."""
        return self._forms.spanish_verb(verb, "inf")

    # Somebody does something.

    def action(self) -> Pair:
        """Draw a clause with a verb."""
        subject, does = self._phrases.subject(), self._phrases.predicate()
        silent = subject.spanish in {"él", "ella"} and self._dice.chance(0.25)
        tense = self._dice.pick(_TENSES)
        plan = Plan(
            subject,
            does,
            "" if silent else subject.spanish,
            self._dice.pick(self._words.present_times),
            self._dice.pick(self._words.past_times),
            self._dice.pick(self._words.future_times),
        )
        pair: Pair = getattr(self, f"_{tense}")(plan)
        return pair

    def _said(self, plan: Plan, english: list[str], spanish: list[str], time: Pair) -> Pair:
        return (
            joined(*english, plan.does.rest, time[0]),
            joined(plan.spoken, *spanish, plan.does.spanish_rest, time[1]),
        )

    def _tense(self, plan: Plan, tense: str, verb: str | None = None) -> str:
        return self._forms.spanish_verb(verb or plan.does.spanish_verb, tense, *plan.subject.person)

    def _modal(self, plan: Plan, english: str, spanish: list[str], time: Pair) -> Pair:
        words = [plan.subject.english, english, plan.does.verb]
        infinitive = self.infinitive(plan.does.spanish_verb)
        return self._said(plan, words, [*spanish, infinitive], time)

    def _gerund(self, plan: Plan) -> str:
        return self._forms.spanish_verb(plan.does.spanish_verb, "ger")

    def _present(self, plan: Plan) -> Pair:
        verb = plan.does.verb
        verb = self._forms.english_verb(verb, "third") if plan.subject.is_third else verb
        return self._said(
            plan, [plan.subject.english, verb], [self._tense(plan, "pri")], plan.present
        )

    def _past(self, plan: Plan) -> Pair:
        verb = self._forms.english_verb(plan.does.verb, "past")
        return self._said(plan, [plan.subject.english, verb], [self._tense(plan, "ifi")], plan.past)

    def _progressive(self, plan: Plan) -> Pair:
        if plan.does.spanish_verb in MOTION:  # Spanish does not say "está yendo"
            english = [self._phrases.with_be(plan.subject), self._english_gerund(plan)]
            return self._said(plan, english, [self._tense(plan, "pri")], plan.future)
        negative = self._dice.chance(0.15)
        english = [self._phrases.with_be(plan.subject), "not" if negative else ""]
        spanish = ["no" if negative else "", self._tense(plan, "pri", "estar"), self._gerund(plan)]
        return self._said(plan, [*english, self._english_gerund(plan)], spanish, plan.present)

    def _english_gerund(self, plan: Plan) -> str:
        return self._forms.english_verb(plan.does.verb, "gerund")

    def _going_to(self, plan: Plan) -> Pair:
        english = [self._phrases.with_be(plan.subject), "going to", plan.does.verb]
        spanish = [self._tense(plan, "pri", "ir"), "a", self.infinitive(plan.does.spanish_verb)]
        return self._said(plan, english, spanish, plan.future)

    def _will(self, plan: Plan) -> Pair:
        negative = self._dice.chance(0.25)
        short = plan.subject.english in PRONOUNS and self._dice.chance(0.5) and not negative
        if negative:
            will = self._dice.pick((" won't", " will not", " will never"))
        else:
            will = "'ll" if short else " will"
        no = ("nunca" if "never" in will else "no") if negative else ""
        english = [plan.subject.english + will, plan.does.verb]
        return self._said(plan, english, [no, self._tense(plan, "fti")], plan.future)

    def _want(self, plan: Plan) -> Pair:
        negative = self._dice.chance(0.25)
        want = "want" if negative or not plan.subject.is_third else "wants"
        english = f"{plan.do}n't {want} to" if negative else f"{want} to"
        spanish = ["no" if negative else "", self._tense(plan, "pri", "querer")]
        return self._modal(plan, english, spanish, plan.present)

    def _have_to(self, plan: Plan) -> Pair:
        third = plan.subject.is_third
        english = "has to" if third else self._dice.pick(("have to", "have to", "gotta"))
        return self._modal(plan, english, [self._tense(plan, "pri", "tener"), "que"], plan.future)

    def _need(self, plan: Plan) -> Pair:
        english = "needs to" if plan.subject.is_third else "need to"
        return self._modal(plan, english, [self._tense(plan, "pri", "necesitar")], plan.future)

    def _can(self, plan: Plan) -> Pair:
        return self._modal(plan, "can", [self._tense(plan, "pri", "poder")], plan.present)

    def _cannot(self, plan: Plan) -> Pair:
        english = self._dice.pick(("can't", "cannot", "can not", "cant"))
        return self._modal(plan, english, ["no", self._tense(plan, "pri", "poder")], plan.present)

    def _should(self, plan: Plan) -> Pair:
        spanish = _SHOULD[PERSONS.index(plan.subject.person)]
        return self._modal(plan, "should", [spanish], plan.future)

    def _negative(self, plan: Plan) -> Pair:
        english = plan.do + self._dice.pick(("n't", " not"))
        words = [plan.subject.english, english, plan.does.verb]
        return self._said(plan, words, ["no", self._tense(plan, "pri")], plan.present)

    def _negative_past(self, plan: Plan) -> Pair:
        english = self._dice.pick(("didn't", "did not"))
        words = [plan.subject.english, english, plan.does.verb]
        return self._said(plan, words, ["no", self._tense(plan, "ifi")], plan.past)

    def _perfect(self, plan: Plan) -> Pair:
        adverb = self._dice.pick(
            (("", ""), ("", ""), ("already", "ya"), ("never", "nunca"), ("just", ""))
        )
        have = "has" if plan.subject.is_third else "have"
        if adverb[0] == "just":
            done = self._forms.english_verb(plan.does.verb, "participle")
            english = [plan.subject.english, have, "just", done]
            just = [self._tense(plan, "pri", "acabar"), "de"]
            spanish = [*just, self.infinitive(plan.does.spanish_verb)]
            return self._said(plan, english, spanish, ("", ""))
        contracts = plan.subject.english in {"I", "you", "we", "they"} and self._dice.chance(0.5)
        who = plan.subject.english + ("'ve" if contracts else f" {have}")
        english = [who, adverb[0], self._forms.english_verb(plan.does.verb, "participle")]
        done = self._forms.spanish_verb(plan.does.spanish_verb, "pp", "m", "sg")
        spanish = [adverb[1], _PERFECT[PERSONS.index(plan.subject.person)], done]
        return self._said(plan, english, spanish, ("", ""))

    def _used_to(self, plan: Plan) -> Pair:
        words = [plan.subject.english, "used to", plan.does.verb]
        return self._said(plan, words, [self._tense(plan, "pii")], ("", ""))

    def _past_progressive(self, plan: Plan) -> Pair:
        was = be(plan.subject.english, plan.subject.person, past=True)
        english = [plan.subject.english, was, self._english_gerund(plan)]
        spanish = [self._tense(plan, "pii", "estar"), self._gerund(plan)]
        return self._said(plan, english, spanish, plan.past)

    def _let_us(self, plan: Plan) -> Pair:
        infinitive = self.infinitive(plan.does.spanish_verb)
        return (
            joined("let's", plan.does.verb, plan.does.rest, plan.future[0]),
            joined("vamos a", infinitive, plan.does.spanish_rest, plan.future[1]),
        )

    def _try_to(self, plan: Plan) -> Pair:
        english = [self._phrases.with_be(plan.subject), "trying to", plan.does.verb]
        infinitive = self.infinitive(plan.does.spanish_verb)
        spanish = [self._tense(plan, "pri", "estar"), "intentando", infinitive]
        return self._said(plan, english, spanish, plan.present)

    def _cannot_stop(self, plan: Plan) -> Pair:
        english = [plan.subject.english, "can't stop", self._english_gerund(plan)]
        infinitive = self.infinitive(plan.does.spanish_verb)
        spanish = ["no", self._tense(plan, "pri", "poder"), "dejar de", infinitive]
        return self._said(plan, english, spanish, ("", ""))

    # Somebody or something is something.

    def quality(self) -> Pair:
        """Draw a clause with `to be`."""
        kind = self._dice.random.random()
        time = self._dice.pick(self._words.present_times)
        if kind < 0.45:
            return self._state_of_somebody(time)
        if kind < 0.85:
            return self._quality_of_something()
        return self._this_is_a_thing() if kind < 0.93 else self._this_is_like_that()

    def _state_of_somebody(self, time: Pair) -> Pair:
        dice, subject = self._dice, self._phrases.subject()
        negative, past = dice.chance(0.15), dice.chance(0.25)
        degree = dice.pick([*_DEGREES, ("a little", "un poco"), ("too", "demasiado")])
        usual = dice.chance(0.75)
        state = dice.pick(list(self._words.states if usual else self._words.possessed_states))
        is_ = self._is(subject, negative=negative, past=past)
        tense = ("pii" if past else "pri", *subject.person)
        english = joined(is_, degree[0], state, time[0])
        no = "no" if negative else ""
        if not usual:
            noun = self._words.possessed_states[state]
            has = self._forms.spanish_verb("tener", *tense)
            how_much = _how_much(degree[0], feminine=noun in _FEMININE_STATES)
            return english, joined(subject.spanish, no, has, how_much, noun, time[1])
        spanish_is = self._forms.spanish_verb("estar", *tense)
        word = self._words.states[state]
        adjective = self._forms.adjective(word, subject.gender, subject.person[1])
        return english, joined(subject.spanish, no, spanish_is, degree[1], adjective, time[1])

    def _is(self, subject: Subject, *, negative: bool, past: bool) -> str:
        if not (past or negative):
            return self._phrases.with_be(subject)
        no = ""
        if negative:
            no = " not" if self._dice.chance(0.5) or subject.english == "I" else "n't"
        return f"{subject.english} {be(subject.english, subject.person, past=past)}{no}"

    def _quality_of_something(self) -> Pair:
        dice = self._dice
        kind = dice.pick(_THINGS)
        determiner = dice.pick(("the", "this", "my", "that", "your", "our"))
        thing = self._phrases.noun([kind], determiner, as_subject=True, adjective=0.1)
        past, negative = dice.chance(0.35), dice.chance(0.12)
        quality = dice.pick(self.qualities)
        degree = dice.pick([*_DEGREES, ("too", "demasiado"), ("pretty", "bastante")])
        word = self._words.adjectives[quality]
        if word in _STRONG_ADJECTIVES and degree[0] in {"very", "too", "pretty"}:
            degree = ("", "")
        is_ = be(thing.english, ("p3", thing.number), past=past)
        is_ += dice.pick(("n't", " not")) if negative else ""
        dice.chance(0)  # not used: it keeps the text of a seed as the model was trained on it
        spanish_is = {"sg": ("es", "era"), "pl": ("son", "eran")}[thing.number][past]
        adjective = self._forms.adjective(word, thing.gender, thing.number)
        no = "no" if negative else ""
        return (
            joined(thing.english, is_, degree[0], quality),
            joined(thing.spanish, no, spanish_is, degree[1], adjective),
        )

    def _this_is_a_thing(self) -> Pair:
        thing = self._phrases.noun("abs media task", "a", plural=False, adjective=0.9)
        start = self._dice.pick(
            (
                *(("this is", "esto es"), ("it is", "es"), ("it's", "es")),
                *(("that was", "eso fue"), ("it was", "fue"), ("that's", "eso es")),
                ("what", "qué"),
            )
        )
        if start[0] == "what":
            return self._exclamation()
        return joined(start[0], thing.english), joined(start[1], thing.spanish)

    def _exclamation(self) -> Pair:
        kinds = "abs media task thing food"
        thing = self._phrases.noun(kinds, "", plural=False, adjective=0)
        quality = self._dice.pick(
            ("good", "beautiful", "great", "amazing", "terrible", "boring", "strange", "funny")
        )
        english = f"what {'an' if quality[0] in 'aeiou' else 'a'} {quality} {thing.english}"
        if quality == "good":
            good = self._words.adjectives_before_noun["good"][thing.gender == "f"]
            return english, f"qué {good} {thing.spanish}"
        word = self._words.adjectives[quality]
        adjective = self._forms.adjective(word, thing.gender, thing.number)
        return english, f"qué {thing.spanish} más {adjective}"

    def _this_is_like_that(self) -> Pair:
        quality = self._dice.pick(self.qualities)
        start = self._dice.pick(
            (
                *(("this is", "esto es"), ("it is", "es"), ("it's", "es"), ("that is", "eso es")),
                *(("that's", "eso es"), ("it was", "fue"), ("that was", "eso fue")),
            )
        )
        degree = self._dice.pick([*_DEGREES[1:], ("not", "no")])
        adjective = self._forms.adjective(self._words.adjectives[quality], "m", "sg")
        english = joined(start[0], degree[0], quality)
        if degree[0] == "not":
            *this, is_ = start[1].split()
            return english, joined(*this, "no", is_, adjective)
        return english, joined(start[1], degree[1], adjective)

    # Somebody likes something.

    def liking(self) -> Pair:
        """Draw a clause with `to like`, whose subject is the thing liked in Spanish."""
        who, third, spanish_who = self._who_likes()
        verb, third_verb, spanish_verb, no, tail = self._dice.pick(_LIKING)
        if self._dice.chance(0.65):
            kinds = ("media", "food", "foodu", "drinku", "text", "music", "thing", "place")
            kind = self._dice.pick((*kinds, "animal", "abs"))
            determiner = self._dice.pick(("this", "my", "the", "your", "that"))
            thing = self._phrases.noun([kind], determiner, as_subject=True)
            liked, spanish_liked = thing.english, thing.spanish
            spanish_verb += "n" if thing.number == "pl" else ""
        else:
            liked, spanish_liked = self._liked_action()
        so_much = self._dice.pick(("", "", "", " so much")) if verb == "love" else ""
        *head, clitic = spanish_who.split()
        english = joined(who, third_verb if third else verb, liked + so_much)
        return english, joined(*head, no + clitic, spanish_verb + tail, spanish_liked)

    def _who_likes(self) -> tuple[str, bool, str]:
        who, spanish = self._dice.pick(
            (
                *[("I", "me")] * 3,
                *(("we", "nos"), ("you", "te"), ("they", "a ellos les")),
                *(("she", "a ella le"), ("he", "a él le"), ("NAME", ""), ("NP", "")),
            )
        )
        if who == "NAME":
            name = self._dice.pick(self._words.names)
            return name, True, f"a {name} le"
        if who == "NP":
            person = self._phrases.noun("person", plural=False, adjective=0.05)
            return person.english, True, joined("a", person.spanish, "le")
        return who, who in {"she", "he"}, spanish

    def _liked_action(self) -> Pair:
        does = self._phrases.predicate()
        gerund = self._dice.chance(0.3)
        verb = self._forms.english_verb(does.verb, "gerund") if gerund else f"to {does.verb}"
        infinitive = self.infinitive(does.spanish_verb)
        return joined(verb, does.rest), " ".join(filter(None, (infinitive, does.spanish_rest)))


def _how_much(degree: str, *, feminine: bool) -> str:
    if degree == "a little":
        return "un poco de"
    words = {"": "", "so": "tant", "very": "much", "really": "much", "too": "demasiad"}
    return words[degree] + ("a" if feminine else "o") if degree else ""
