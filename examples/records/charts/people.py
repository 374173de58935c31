"""Invented people, places and numbers; a fifth of the test split's names are its own."""

from dataclasses import dataclass
from random import Random

from charts.lexicon import Split

# Dense: one name a line would hide the code below.
# fmt: off
WOMEN = [
    "Mary", "Linda", "Susan", "Karen", "Nancy", "Betty", "Helen", "Sandra", "Donna", "Carol",
    "Ruth", "Sharon", "Laura", "Cynthia", "Angela", "Brenda", "Pamela", "Rosa", "Maria", "Teresa",
    "Anna", "Joyce", "Diane", "Alice", "Julie", "Gloria", "Evelyn", "Jean", "Cheryl", "Mildred",
    "Yolanda", "Mei", "Priya", "Fatima", "Olga", "Grace", "Hope", "Dolores", "June", "Violet",
]
MEN = [
    "James", "Robert", "John", "Michael", "William", "David", "Richard", "Joseph", "Thomas",
    "Charles", "Daniel", "Matthew", "Anthony", "Mark", "Donald", "Steven", "Paul", "Andrew",
    "Kenneth", "George", "Edward", "Brian", "Ronald", "Jose", "Luis", "Carlos", "Wei", "Raj",
    "Ahmed", "Ivan", "Frank", "Raymond", "Gregory", "Samuel", "Patrick", "Dennis", "Walter",
    "Harold", "Carl", "Will",
]
LAST = [
    "Smith", "Johnson", "Williams", "Brown", "Jones", "Garcia", "Miller", "Davis", "Rodriguez",
    "Martinez", "Hernandez", "Lopez", "Gonzalez", "Wilson", "Anderson", "Thomas", "Taylor", "Moore",
    "Jackson", "Martin", "Lee", "Perez", "Thompson", "White", "Harris", "Sanchez", "Clark",
    "Ramirez", "Lewis", "Robinson", "Walker", "Young", "Allen", "King", "Wright", "Scott", "Torres",
    "Nguyen", "Hill", "Flores", "Green", "Adams", "Nelson", "Baker", "Hall", "Rivera", "Campbell",
    "Mitchell", "Carter", "Roberts", "Gomez", "Phillips", "Evans", "Turner", "Diaz", "Parker",
    "Cruz", "Edwards", "Collins", "Reyes", "Stewart", "Morris", "Morales", "Murphy", "Cook",
    "Rogers", "Ortiz", "Morgan", "Cooper", "Peterson", "Bailey", "Reed", "Kelly", "Howard", "Kim",
    "Cox", "Ward", "Patel", "Chen", "Singh", "O'Brien", "Roe", "Doe", "Graves", "Payne", "Bliss",
    "Stone", "Rivers", "Fields",
]
WOMEN_TEST = [
    "Agnes", "Ingrid", "Noor", "Beatriz", "Siobhan", "Winifred", "Lucille", "Chiara", "Aiko",
    "Thandiwe",
]
MEN_TEST = [
    "Cornelius", "Bjorn", "Tariq", "Emeka", "Silvio", "Percival", "Hiroshi", "Anselm", "Lamar",
    "Ezekiel",
]
LAST_TEST = [
    "Abernathy", "Kowalczyk", "Okafor", "Lindqvist", "Haverford", "Delacroix", "Yamamoto",
    "Whitcomb", "Papadopoulos", "Castellano", "McAllister", "Van-Houten", "Ferreira", "Ashworth",
    "Zielinski",
]
STREETS = [
    "Main", "Oak", "Maple", "Cedar", "Elm", "Pine", "Washington", "Lake", "Hill", "Walnut",
    "Spring", "River", "Church", "Park", "Franklin", "Highland", "Sunset", "Jackson", "Mill",
    "Chestnut", "Lincoln", "Meadow", "Ridge", "Prospect", "Juniper",
]
WAYS = ["St", "Ave", "Rd", "Blvd", "Dr", "Ln", "Ct", "Way", "Street", "Avenue", "Road"]
TOWNS = [
    "Springfield,IL", "Riverton,OH", "Fairview,TX", "Georgetown,KY", "Salem,OR", "Clinton,MI",
    "Madison,WI", "Franklin,TN", "Bristol,CT", "Dayton,OH", "Auburn,AL", "Milton,FL", "Newport,RI",
    "Ashland,VA", "Burlington,NC", "Lakewood,CO", "Hudson,NY", "Oxford,MS", "Dover,DE",
    "Greenville,SC",
]
# fmt: on
PLACES = (
    "{t} Family Medicine",
    "{t} Internal Medicine Associates",
    "{t} General Hospital",
    "{t} Regional Medical Center",
    "St. Brendan Health {t}",
    "{t} Cardiology Group",
    "Lakeshore Clinic",
    "Mercy Valley Hospital",
    "{t} Community Health Center",
    "Northside Primary Care",
)
PLACES_TEST = (
    "{t} Physicians Network",
    "The {t} Clinic",
    "Holy Family Hospital of {t}",
    "{t} County Medical Campus",
    "Harborview Specialty Care",
    "{t} Senior Health Partners",
)
LICENCES = {
    "MD": ("MD", "MD", "M.D."),
    "DO": ("DO", "DO", "D.O."),
    "NP": ("NP", "APRN", "FNP-BC", "CRNP", "NP-C"),
    "PA": ("PA", "PA-C", "Physician Assistant"),
    "RN": ("RN", "R.N.", "Registered Nurse", "BSN, RN"),
    "none": ("", "", "Medical Assistant", "Scribe"),
}
LICENCES_TEST = {
    "MD": ("MD", "MD, FACP", "M.D.", "MD PhD"),
    "DO": ("DO", "D.O.", "DO, FACOI"),
    "NP": ("Nurse Practitioner", "AGNP-C", "APRN", "FNP-BC", "DNP, NP-C"),
    "PA": ("PA-C", "MPAS, PA-C", "Physician Asst."),
    "RN": ("RN", "Registered Nurse", "RN, BSN", "RN-BC"),
    "none": ("", "LPN", "CMA", "Social Worker"),
}


@dataclass(frozen=True, slots=True)
class Person:
    """An invented person; `licence` is how notes write the credential (empty for lay people)."""

    first: str
    middle: str
    last: str
    sex: str
    credential: str = "none"
    licence: str = ""

    @property
    def full(self) -> str:
        """First and last name."""
        return f"{self.first} {self.last}"


def person(rng: Random, split: Split, sex: str | None = None) -> Person:
    """Someone without a credential."""
    sex = sex or rng.choice("FM")
    own = split == "test"
    firsts = (WOMEN_TEST if sex == "F" else MEN_TEST) if own and rng.random() < 0.2 else None
    first = rng.choice(firsts or (WOMEN if sex == "F" else MEN))
    last = rng.choice(LAST_TEST if own and rng.random() < 0.2 else LAST)
    return Person(first, rng.choice("ABCDEFGHJKLMNPRSTW"), last, sex)


def provider(rng: Random, split: Split, credential: str) -> Person:
    """Someone who writes notes, with one of the written forms of the credential."""
    lay = person(rng, split)
    forms = LICENCES_TEST if split == "test" else LICENCES
    licence = rng.choice(forms[credential])
    return Person(lay.first, lay.middle, lay.last, lay.sex, credential, licence)


def address(rng: Random) -> str:
    """A street address in one line."""
    town, state = rng.choice(TOWNS).split(",")
    flat = rng.choice(
        ("", "", "", f" Apt {rng.randint(1, 40)}", f", Suite {rng.randint(100, 480)}")
    )
    street = f"{rng.randint(10, 9899)} {rng.choice(STREETS)} {rng.choice(WAYS)}{flat}"
    return f"{street}, {town}, {state} {rng.randint(10000, 98999)}"


def phone(rng: Random) -> str:
    """A telephone number within the range kept for fiction (555-01xx)."""
    area, last = rng.randint(201, 989), rng.randint(100, 199)
    return rng.choice(("({}) 555-0{}", "{}-555-0{}", "{}.555.0{}", "1-{}-555-0{}")).format(
        area, last
    )


def place(rng: Random, split: Split) -> str:
    """The name of a clinic or hospital."""
    names = PLACES_TEST if split == "test" and rng.random() < 0.6 else PLACES
    return rng.choice(names).format(t=rng.choice(TOWNS).split(",")[0])
