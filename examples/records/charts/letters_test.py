"""Clinical letters in Spanish, French and German for the test split."""

# Dense, so that a section can be seen whole.
# fmt: off
LETTERS = {
    "es": {
        "header": (
            "Clínica San Rafael", "Consulta de cardiología", "Resumen de la visita",
            "Nombre: {patient}", "Nacido/a el {dob}", "Visita del día {dos}", "Tel.: {phone}",
        ),
        "history": (
            "Se trata de una persona de {age} años con insuficiencia cardiaca conocida.",
            "Desde hace un mes nota hinchazón en las piernas.",
            "Duerme mal y se despierta por la tos.", "Sin dolor torácico ni desmayos recientes.",
            "Su padre padecía del corazón y su hermana es diabética.",
            "Dejó de fumar cuando cumplió cincuenta años.",
            "Usa un inhalador cuando le falta el aire.",
        ),
        "exam": (
            "Presión {bp} y pulso de {hr} latidos.", "Corazón rítmico sin soplos.",
            "Leve hinchazón en ambos tobillos.", "Pulmones con buena entrada de aire.",
        ),
        "plan": (
            "Aumentamos la dosis del diurético.", "Cita de control: {appt}.",
            "Debe pesarse cada mañana y anotar el peso.", "Si empeora, debe acudir a urgencias.",
        ),
        "signed": ("Documento firmado por {author} con fecha {signed}", "Firma: {author}"),
        "unsigned": ("Sin firmar", "Firma del médico: ................"),
    },
    "fr": {
        "header": (
            "Clinique des Tilleuls", "Cabinet de médecine générale", "Lettre de liaison",
            "Nom : {patient}", "Date de naissance : {dob}", "Vu le {dos}", "Téléphone : {phone}",
        ),
        "history": (
            "Cher confrère, je vous adresse cette personne âgée de {age} ans.",
            "Elle souffre d'une bronchite chronique depuis plusieurs années.",
            "Les douleurs du genou l'empêchent de marcher longtemps.",
            "Elle ne se plaint ni de fièvre ni de vertiges.",
            "Dans la famille on note un diabète chez la mère.",
            "Le sommeil reste perturbé malgré le traitement.",
            "Elle vit seule et reçoit l'aide de sa fille.",
        ),
        "exam": (
            "La pression est mesurée à {bp} avec un pouls à {hr}.",
            "Les poumons sont libres des deux côtés.", "Le genou droit est gonflé.",
            "L'état général est conservé.",
        ),
        "plan": (
            "Merci de me donner votre avis.", "Elle sera revue le {appt}.",
            "Nous avons augmenté la dose du soir.", "Une radiographie est prévue.",
        ),
        "signed": ("Validé et signé par {author} le {signed}", "Signature : Dr {author}"),
        "unsigned": ("Non signé", "Signature du médecin : ..........."),
    },
    "de": {
        "header": (
            "Krankenhaus am Stadtpark", "Praxis für Allgemeinmedizin", "Entlassungsbericht",
            "Name: {patient}", "Geburtsdatum: {dob}", "Vorstellung am {dos}", "Tel.: {phone}",
        ),
        "history": (
            "Die Vorstellung erfolgte wegen zunehmender Schwäche ({age} Jahre alt).",
            "Seit Jahren ist eine Herzschwäche bekannt.",
            "In den letzten Wochen nahmen die Beschwerden zu.",
            "Husten und Auswurf bestehen nicht.", "Der Vater hatte einen Schlaganfall.",
            "Zu Hause hilft die Tochter bei der Pflege.",
            "Das Rauchen wurde vor langer Zeit aufgegeben.",
        ),
        "exam": (
            "RR {bp}, Herzfrequenz {hr}.", "Herztöne rein und regelmäßig.",
            "Leichte Schwellung beider Knöchel.", "Wach und voll orientiert.",
        ),
        "plan": (
            "Bitte täglich das Gewicht kontrollieren.", "Wiedervorstellung {appt}.",
            "Die Dosis der Wassertablette wurde erhöht.",
            "Bei Verschlechterung bitte sofort melden.",
        ),
        "signed": (
            "Dieser Brief wurde von {author} am {signed} unterzeichnet",
            "Unterschrift: Dr. {author}",
        ),
        "unsigned": ("Nicht unterschrieben", "Unterschrift des Arztes: ..........."),
    },
}
