"""Trains a model that tells the language of a short text: replace it with your own.

Any scikit-learn estimator will do that `joblib` can write: MLServer calls its `predict` with a
list of texts, or with an array of numbers where the input tensor is numeric.
"""

import sys
from pathlib import Path

import joblib
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline

FILE = Path(__file__).parent / "language" / "model.joblib"

TEXTS = {
    "de": """
        Wo ist der nächste Bahnhof? | Ich habe heute keine Zeit. | Das Wetter ist wirklich schön.
        Kannst du mir bitte helfen? | Wir gehen morgen ins Kino. | Das Essen war sehr gut, danke.
        Ich weiß nicht, was das ist. | Sie wohnen in einem kleinen Haus. | Guten Morgen zusammen!
        Der Zug kommt wieder zu spät. | Was machst du am Wochenende? | Es tut mir leid.
    """,
    "en": """
        Where is the next station? | I have no time today. | The weather is really beautiful.
        Can you help me, please? | We are going to the movies tomorrow. | The food was very good.
        I do not know what this is. | They live in a small house. | Good morning, everyone!
        The train is late again. | What are you doing this weekend? | I am so sorry about that.
    """,
    "es": """
        ¿Dónde está la próxima estación? | Hoy no tengo tiempo. | El tiempo es muy bonito.
        ¿Me puedes ayudar, por favor? | Mañana vamos al cine. | La comida estaba muy buena.
        No sé qué es esto. | Viven en una casa pequeña. | ¡Buenos días a todos!
        El tren llega tarde otra vez. | ¿Qué haces este fin de semana? | Lo siento mucho.
    """,
    "fr": """
        Où est la prochaine gare ? | Je n'ai pas le temps aujourd'hui. | Il fait vraiment beau.
        Peux-tu m'aider, s'il te plaît ? | Nous allons au cinéma demain. | C'était très bon, merci.
        Je ne sais pas ce que c'est. | Ils habitent une petite maison. | Bonjour tout le monde !
        Le train est encore en retard. | Que fais-tu ce week-end ? | Je suis vraiment désolé.
    """,
    "it": """
        Dov'è la prossima stazione? | Oggi non ho tempo. | Il tempo è davvero bello.
        Mi puoi aiutare, per favore? | Domani andiamo al cinema. | Il cibo era molto buono, grazie.
        Non so che cosa sia questo. | Abitano in una piccola casa. | Buongiorno a tutti!
        Il treno è di nuovo in ritardo. | Che cosa fai questo fine settimana? | Mi dispiace molto.
    """,
}


def main() -> None:
    """Train the model and write it to its file."""
    joblib.dump(trained(), FILE)
    print(f"wrote {FILE}", file=sys.stderr)


def trained() -> Pipeline:
    """Return a model of which letters, two and three at a time, belong to which language."""
    lines = [(text, language) for language, block in TEXTS.items() for text in sentences(block)]
    model = make_pipeline(
        TfidfVectorizer(analyzer="char_wb", ngram_range=(1, 3)), LogisticRegression(C=100)
    )
    return model.fit(*zip(*lines, strict=True))


def sentences(block: str) -> list[str]:
    """Return the texts of a block, which stand between bars and line breaks."""
    return [text.strip() for text in block.replace("\n", "|").split("|") if text.strip()]


if __name__ == "__main__":
    main()
