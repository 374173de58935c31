"""Questions, headlines and small talk."""

from collections.abc import Callable

from clauses import Clauses
from lexicon import Pair
from morphology import UnsayableError
from phrases import MOTION, NounPhrase, Phrases, Subject, be, fused, joined

_ASKED = (
    *[Subject("you", "", ("p2", "sg"), "m")] * 3,
    Subject("we", "", ("p1", "pl"), "m"),
    Subject("they", "", ("p3", "pl"), "m"),
    Subject("he", "él", ("p3", "sg"), "m"),
    Subject("she", "ella", ("p3", "sg"), "f"),
)
_QUESTIONS = ("do", "did", "are", "wh", "where", "can", "will", "who", "have", "small")
_WHAT = (
    *(("watch", "ver"), ("eat", "comer"), ("read", "leer"), ("think", "pensar")),
    *(("need", "necesitar"), ("want", "querer"), ("buy", "comprar")),
)
_PRICED: tuple[Pair, ...] = (
    *(("gas", "la gasolina"), ("bread", "el pan"), ("water", "el agua")),
    *(("oil", "el petróleo"), ("gold", "el oro"), ("bitcoin", "el bitcoin")),
)
_WEATHER: tuple[Pair, ...] = (
    *(("great", "genial"), ("terrible", "terrible"), ("beautiful", "precioso")),
    *(("perfect", "perfecto"), ("horrible", "horrible")),
)
_FOUND_BY_A_STUDY: tuple[Pair, ...] = (
    ("drink coffee every day", "bebe café todos los días"),
    ("hate Mondays", "odia los lunes"),
    ("do not sleep enough", "no duerme lo suficiente"),
    ("use their phone at night", "usa su teléfono por la noche"),
    ("read the news", "lee las noticias"),
)
_WISHED: tuple[tuple[str, str, str], ...] = (
    *(("day", "un", "día"), ("week", "una", "semana"), ("weekend", "un", "fin de semana")),
    *(("night", "una", "noche"), ("trip", "un", "viaje"), ("evening", "una", "tarde")),
)
_FELT_FOR: tuple[Pair, ...] = (
    *(("I miss", "echo de menos"), ("I love", "quiero"), ("I hate", "odio")),
    *(("I need", "necesito"), ("I saw", "vi"), ("I met", "conocí")),
)
_BEING_AT: tuple[Pair, ...] = (
    *(("I am", "estoy"), ("we are", "estamos"), ("I was", "estaba"), ("she is", "ella está")),
    *(("they are", "están"), ("I'm", "estoy"), ("we're", "estamos")),
)
_HAVING: tuple[Pair, ...] = (
    *(("I have", "tengo"), ("I do not have", "no tengo"), ("we have", "tenemos")),
    *(("she has", "ella tiene"), ("he has", "él tiene"), ("they have", "tienen")),
    ("you have", "tienes"),
)
_OPINIONS: tuple[Pair, ...] = (
    *(("I think", "creo que"), ("I think that", "creo que"), ("I know", "sé que")),
    *(("I guess", "supongo que"), ("I feel like", "siento que"), ("it seems that", "parece que")),
    *(("looks like", "parece que"), ("maybe", "quizás")),
)


class Remarks:
    """Draws what is not a plain statement."""

    def __init__(self, phrases: Phrases, clauses: Clauses) -> None:
        self._phrases = phrases
        self._clauses = clauses
        self._dice = phrases.dice
        self._words = phrases.lexicon
        self._forms = phrases.forms

    # Questions. The marks are added by whoever writes the sentence down.

    def question(self) -> Pair:
        """Draw a question, without its question marks."""
        kind = self._dice.pick(_QUESTIONS)
        who = self._dice.pick(_ASKED)
        does = self._phrases.predicate()
        match kind:
            case "where":
                return self._where()
            case "have":
                thing = self._phrases.noun(
                    "thing food animal task", "a", plural=False, adjective=0.2
                )
                return joined("do you have", thing.english), joined("tienes", thing.spanish)
            case "small":
                return _pair(self._dice.pick(self._words.small_questions))
            case "who":
                self._dice.chance(0.5)
                raise UnsayableError("the grammar has no Spanish for this question")
            case "are":
                return self._are(who, does.verb, does.spanish_verb, does.rest, does.spanish_rest)
            case "wh":
                return self._wh(who, does.verb, does.spanish_verb, does.rest, does.spanish_rest)
        time: Pair = ("", "")
        if kind in {"did", "will"}:
            times = self._words.past_times if kind == "did" else self._words.future_times
            time = self._dice.pick(times)
        do = "does" if who.is_third and kind == "do" else kind
        english = joined(do, who.english, does.verb, does.rest, time[0])
        if kind == "can":
            can = self._forms.spanish_verb("poder", "pri", *who.person)
            infinitive = self._clauses.infinitive(does.spanish_verb)
            return english, joined(can, who.spanish, infinitive, does.spanish_rest)
        tense = {"do": "pri", "did": "ifi", "will": "fti"}[kind]
        verb = self._forms.spanish_verb(does.spanish_verb, tense, *who.person)
        return english, joined(verb, who.spanish, does.spanish_rest, time[1])

    def _where(self) -> Pair:
        kind = self._dice.pick(("thing", "person", "place"))
        determiner = self._dice.pick(("my", "the", "your"))
        thing = self._phrases.noun(kind, determiner, adjective=0.1)
        person = ("p3", thing.number)
        is_ = self._forms.spanish_verb("estar", "pri", *person)
        return (
            joined("where", be("it", person), thing.english),
            joined("dónde", is_, thing.spanish),
        )

    def _are(self, who: Subject, verb: str, spanish_verb: str, rest: str, spanish: str) -> Pair:
        is_, person = be(who.english, who.person), who.person
        if not self._dice.chance(0.5):
            state = self._dice.pick(list(self._words.states))
            adjective = self._forms.adjective(self._words.states[state], who.gender, person[1])
            spanish_is = self._forms.spanish_verb("estar", "pri", *person)
            return joined(is_, who.english, state), joined(spanish_is, who.spanish, adjective)
        english = joined(is_, who.english, self._forms.english_verb(verb, "gerund"), rest)
        if spanish_verb in MOTION:
            goes = self._forms.spanish_verb(spanish_verb, "pri", *person)
            return english, joined(goes, who.spanish, spanish)
        spanish_is = self._forms.spanish_verb("estar", "pri", *person)
        gerund = self._forms.spanish_verb(spanish_verb, "ger")
        return english, joined(spanish_is, gerund, who.spanish, spanish)

    def _wh(self, who: Subject, verb: str, spanish_verb: str, rest: str, spanish: str) -> Pair:
        asked = self._dice.pick(
            (
                *(("when", "cuándo"), ("where", "dónde"), ("why", "por qué")),
                *(("how", "cómo"), ("why", "por qué")),
            )
        )
        do = "does" if who.is_third else "do"
        if self._dice.chance(0.5):
            form = self._forms.spanish_verb(spanish_verb, "pri", *who.person)
            return (
                joined(asked[0], do, who.english, verb, rest),
                joined(asked[1], form, who.spanish, spanish),
            )
        what = self._dice.pick(_WHAT)
        match self._dice.pick(("present", "past", "progressive")):
            case "present":
                form = self._forms.spanish_verb(what[1], "pri", *who.person)
                return joined("what", do, who.english, what[0]), joined("qué", form, who.spanish)
            case "past":
                form = self._forms.spanish_verb(what[1], "ifi", *who.person)
                return joined("what did", who.english, what[0]), joined("qué", form, who.spanish)
        gerund = self._forms.english_verb(what[0], "gerund")
        is_ = self._forms.spanish_verb("estar", "pri", *who.person)
        spanish_gerund = self._forms.spanish_verb(what[1], "ger")
        return (
            joined("what", be(who.english, who.person), who.english, gerund),
            joined("qué", is_, spanish_gerund, who.spanish),
        )

    # Headlines.

    def headline(self) -> Pair:
        """Draw a piece of news."""
        dice, words = self._dice, self._words
        city = dice.pick(words.cities)
        kind = dice.random.randrange(15)
        score = f"{dice.random.randrange(6)}-{dice.random.randrange(6)}"
        time = dice.pick(words.present_times)
        number = dice.random.randrange(2, 99)
        product = self._phrases.noun("task text thing media", "a", plural=False)
        match kind:
            case 0:
                law = "announced a new law", "anunció una nueva ley"
                return (
                    f"the government of {city[0]} {law[0]} {time[0]}",
                    f"el gobierno de {city[1]} {law[1]} {time[1]}",
                )
            case 1:
                return (
                    f"{number} people died in an accident in {city[0]}",
                    f"{number} personas murieron en un accidente en {city[1]}",
                )
            case 2:
                loser = dice.pick(words.cities)
                return (
                    f"{city[0]} won {score} against {loser[0]}",
                    f"{city[1]} ganó {score} contra {loser[1]}",
                )
            case 3:
                return (
                    f"breaking: there is a fire in {city[0]}",
                    f"última hora: hay un incendio en {city[1]}",
                )
            case 4:
                visited = dice.pick(words.cities)
                return (
                    f"the president of {city[0]} is going to visit {visited[0]}",
                    f"el presidente de {city[1]} va a visitar {visited[1]}",
                )
            case 5:
                return (
                    f"the police arrested {number} people in {city[0]}",
                    f"la policía detuvo a {number} personas en {city[1]}",
                )
            case 6:
                soon = dice.pick(words.future_times)
                return (
                    f"the company will launch {product.english} {soon[0]}",
                    f"la empresa lanzará {product.spanish} {soon[1]}",
                )
            case 7:
                priced = dice.pick(_PRICED)
                return (
                    f"the price of {priced[0]} is going up {time[0]}",
                    fused(f"el precio de {priced[1]} está subiendo {time[1]}"),
                )
        return self._more_news(kind, city, time, number)

    def _more_news(self, kind: int, city: Pair, time: Pair, number: int) -> Pair:
        dice = self._dice
        match kind:
            case 8:
                falling = dice.pick((("raining", "lloviendo"), ("snowing", "nevando")))
                return (
                    f"it is {falling[0]} in {city[0]} {time[0]}",
                    f"está {falling[1]} en {city[1]} {time[1]}",
                )
            case 9:
                weather = dice.pick(_WEATHER)
                return (
                    f"the weather in {city[0]} is {weather[0]} {time[0]}",
                    f"el tiempo en {city[1]} es {weather[1]} {time[1]}",
                )
            case 10:
                found = dice.pick(_FOUND_BY_A_STUDY)
                return (
                    f"new study: {number}% of people {found[0]}",
                    f"nuevo estudio: el {number}% de la gente {found[1]}",
                )
            case 11:
                name, past = dice.pick(self._words.names), dice.pick(self._words.past_times)
                return (
                    f"{name} scored a great goal {past[0]}",
                    f"{name} marcó un gran gol {past[1]}",
                )
            case 12:
                return f"live from {city[0]}", f"en directo desde {city[1]}"
            case 13:
                self._phrases.noun("person thing animal food", "some", plural=True)
                dice.random.randrange(2, 9)
                raise UnsayableError("the grammar has no Spanish for this headline")
        determiner = dice.pick(("my", "this", "our", "the"))
        thing = self._phrases.noun("text media music thing", determiner)
        return f"check out {thing.english}", f"mira {thing.spanish}"

    # Small talk.

    def small_talk(self) -> Pair:
        """Draw a remark that one makes to friends."""
        kind = self._dice.random.randrange(20)
        name = self._dice.pick(self._words.names)
        time = self._dice.pick(self._words.present_times)
        does = self._phrases.predicate()
        remarks: dict[int, Callable[[], Pair]] = {
            0: lambda: self._greeting(name),
            1: self._thanks,
            2: self._cannot_wait_for,
            6: self._had,
            7: self._wish,
            8: self._feeling,
            9: lambda: _pair(self._dice.pick(self._words.set_phrases)),
            10: lambda: self._being_at(time),
            11: self._best_ever,
            12: self._look_at,
            13: self._gave_me,
            14: self._somebody_says,
            15: self._opinion,
            16: self._reason,
            17: self._mishap,
            18: self._having,
            19: self._there_is,
        }
        if kind in remarks:
            return remarks[kind]()
        if kind == 3:
            start = "can't wait to" if self._dice.chance(0.5) else "I can't wait to"
            infinitive = self._clauses.infinitive(does.spanish_verb)
            spanish = joined("tengo muchas ganas de", infinitive, does.spanish_rest)
            return joined(start, does.verb, does.rest), spanish
        if kind == 4:
            english = joined("just", self._forms.english_verb(does.verb, "past"), does.rest)
            infinitive = self._clauses.infinitive(does.spanish_verb)
            return english, joined("acabo de", infinitive, does.spanish_rest)
        if does.spanish_verb in MOTION:
            does = does._replace(
                verb="read", spanish_verb="leer", rest="a book", spanish_rest="un libro"
            )
        english = joined(self._forms.english_verb(does.verb, "gerund"), does.rest, time[0])
        gerund = self._forms.spanish_verb(does.spanish_verb, "ger")
        return english, joined(gerund, does.spanish_rest, time[1])

    def _noun(
        self,
        kinds: str,
        determiners: tuple[str, ...],
        *,
        plural: bool | None = None,
        adjective: float = 0.3,
    ) -> NounPhrase:
        determiner = self._dice.pick(determiners)
        return self._phrases.noun(kinds, determiner, plural=plural, adjective=adjective)

    def _greeting(self, name: str) -> Pair:
        self._dice.pick(range(19))  # not used, as the draw of nothing in `clauses`
        greeting = self._dice.pick(self._words.greetings)
        whom = self._dice.pick(
            (
                *(("", ""), (f" {name}", f" {name}"), (f", {name}", f", {name}")),
                *((" everyone", " a todos"), (" to all my followers", " a todos mis seguidores")),
                *((" my friend", ", amigo mío"), (" guys", " chicos"), (" world", " mundo")),
            )
        )
        return greeting[0] + whom[0], greeting[1] + whom[1]

    def _thanks(self) -> Pair:
        thing = self._noun("task thing media food abs", ("the", "your", "this"))
        return f"thanks for {thing.english}", f"gracias por {thing.spanish}"

    def _cannot_wait_for(self) -> Pair:
        thing = self._noun("media task abs", ("the", "this", "my"), plural=False)
        start = self._dice.pick(("can't wait for", "I can't wait for", "I cannot wait for"))
        return f"{start} {thing.english}", fused(f"tengo muchas ganas de {thing.spanish}")

    def _had(self) -> Pair:
        thing = self._noun("thing media abs task text", ("a", "a"), plural=False, adjective=0.8)
        return f"I had {thing.english}", f"tuve {thing.spanish}"

    def _wish(self) -> Pair:
        self._phrases.noun("abs", "a", plural=False, adjective=0)  # not used, as above
        good = self._dice.pick(("nice", "great", "good"))
        time, article, spanish = self._dice.pick(_WISHED)
        forms = self._words.adjectives_before_noun["good"]
        spanish_good = forms[article == "una"]
        return f"have a {good} {time}", f"que tengas {article} {spanish_good} {spanish}"

    def _feeling(self) -> Pair:
        person = self._noun("person", ("my", "the"), plural=False, adjective=0.05)
        feeling = self._dice.pick(_FELT_FOR)
        return f"{feeling[0]} {person.english}", fused(f"{feeling[1]} a {person.spanish}")

    def _being_at(self, time: Pair) -> Pair:
        place = self._noun("place", ("the", "the", "this"), plural=False, adjective=0.1)
        being = self._dice.pick(_BEING_AT)
        english = f"{being[0]} at {place.english} {time[0]}"
        return english, f"{being[1]} en {place.spanish} {time[1]}"

    def _best_ever(self) -> Pair:
        kinds = "abs media food thing text place music"
        self._noun(kinds, ("a",), adjective=0.2)  # not used, as above
        rank = self._dice.pick((("best", "mejor"), ("worst", "peor")))
        kind = self._dice.pick(("media", "food", "text", "place", "music", "abs"))
        noun = self._dice.pick(self._words.nouns[kind])
        this, the = ("este", "el") if noun.gender == "m" else ("esta", "la")
        spanish = f"{this} es {the} {rank[1]} {noun.spanish} de todos los tiempos"
        return f"this is the {rank[0]} {noun.english} ever", spanish

    def _look_at(self) -> Pair:
        kinds = "thing media food place"
        thing = self._noun(kinds, ("my", "the", "this"), plural=False, adjective=0.1)
        return f"look at {thing.english}", f"mira {thing.spanish}"

    def _gave_me(self) -> Pair:
        person = self._noun("person", ("my",), plural=False, adjective=0)
        thing = self._phrases.noun("thing", "a", plural=False)
        english = f"{person.english} gave me {thing.english}"
        return english, f"{person.spanish} me dio {thing.spanish}"

    def _somebody_says(self) -> Pair:
        person = self._noun("person", ("my",), adjective=0)
        english, spanish = self._clauses.action()
        verb = self._dice.pick(
            (
                {"sg": ("thinks", "cree"), "pl": ("think", "creen")},
                {"sg": ("says", "dice"), "pl": ("say", "dicen")},
                {"sg": ("knows", "sabe"), "pl": ("know", "saben")},
            )
        )[person.number]
        return (
            f"{person.english} {verb[0]} that {english}",
            f"{person.spanish} {verb[1]} que {spanish}",
        )

    def _opinion(self) -> Pair:
        acts = self._dice.chance(0.6)
        english, spanish = self._clauses.action() if acts else self._clauses.quality()
        opinion = self._dice.pick(_OPINIONS)
        return f"{opinion[0]} {english}", f"{opinion[1]} {spanish}"

    def _reason(self) -> Pair:
        first, second = self._clauses.action(), self._clauses.quality()
        link = self._dice.pick(
            (("because", "porque"), ("but", "pero"), ("and", "y"), ("so", "así que"))
        )
        return f"{first[0]} {link[0]} {second[0]}", f"{first[1]} {link[1]} {second[1]}"

    def _mishap(self) -> Pair:
        thing = self._phrases.noun("thing", "my", adjective=0.2)
        plural = thing.number == "pl"
        match self._dice.pick(("stopped", "broken", "arrived")):
            case "stopped":
                spanish = "dejaron de funcionar" if plural else "dejó de funcionar"
                return f"{thing.english} stopped working", f"{thing.spanish} {spanish}"
            case "arrived":
                spanish = "llegaron" if plural else "llegó"
                return f"{thing.english} arrived", f"{thing.spanish} {spanish}"
        broken = ("rota" if thing.gender == "f" else "roto") + ("s" if plural else "")
        return (
            f"{thing.english} {'are' if plural else 'is'} broken",
            f"{thing.spanish} {'están' if plural else 'está'} {broken}",
        )

    def _having(self) -> Pair:
        thing = self._phrases.noun("abs thing food")
        having = self._dice.pick(_HAVING)
        return f"{having[0]} {thing.english}", f"{having[1]} {thing.spanish}"

    def _there_is(self) -> Pair:
        thing = self._phrases.noun("thing food place abs", "a", adjective=0.5)
        start = "there is" if thing.number == "sg" else "there are"
        return f"{start} {thing.english}", f"hay {thing.spanish}"


def _pair(words: Pair) -> Pair:
    english, spanish = words
    return english, spanish
