"""Clinical letters in Spanish, French and German for the training split."""

# Dense, so that a section can be seen whole.
# fmt: off
LETTERS = {
    "es": {
        "header": (
            "Hospital General de la Ciudad", "Servicio de Medicina Interna", "Informe clínico",
            "Paciente: {patient}", "Fecha de nacimiento: {dob}", "Fecha: {dos}",
            "Teléfono: {phone}",
        ),
        "history": (
            "Paciente de {age} años que acude a consulta por dolor en el pecho.",
            "Tiene antecedentes de hipertensión arterial y diabetes mellitus tipo 2.",
            "Refiere cansancio desde hace varias semanas.",
            "No presenta fiebre ni pérdida de peso.", "La madre del paciente tuvo cáncer de mama.",
            "Fue operado de la vesícula hace algunos años.",
            "Toma metformina y enalapril todos los días.",
            "Niega alergias a medicamentos conocidas.",
        ),
        "exam": (
            "Tensión arterial {bp}, frecuencia cardiaca {hr}.",
            "Auscultación pulmonar sin ruidos añadidos.", "Abdomen blando y sin dolor.",
            "Peso estable respecto a la visita anterior.",
        ),
        "plan": (
            "Se recomienda dieta sin sal y ejercicio moderado.", "Próxima revisión el {appt}.",
            "Se solicita análisis de sangre completo.", "Continuar con el tratamiento actual.",
        ),
        "signed": ("Firmado electrónicamente por {author} el {signed}", "Fdo.: {author}"),
        "unsigned": ("Firma: ____________", "Pendiente de firma"),
    },
    "fr": {
        "header": (
            "Centre Hospitalier Universitaire", "Service de cardiologie",
            "Compte rendu de consultation", "Patient : {patient}", "Né(e) le {dob}",
            "Consultation du {dos}", "Tél. {phone}",
        ),
        "history": (
            "Patient de {age} ans vu ce jour pour essoufflement à l'effort.",
            "Il présente une hypertension artérielle et un diabète de type 2.",
            "Pas de douleur thoracique ni de perte de connaissance.",
            "Son père est décédé d'un infarctus du myocarde.",
            "Le traitement par bisoprolol est bien toléré.", "Il a arrêté de fumer depuis dix ans.",
            "La fatigue est moins importante que lors de la dernière visite.",
            "Aucune allergie connue à ce jour.",
        ),
        "exam": (
            "Tension artérielle {bp}, pouls {hr} par minute.",
            "Auscultation cardiaque régulière, sans souffle.",
            "Pas d'œdème des membres inférieurs.", "L'abdomen est souple et indolore.",
        ),
        "plan": (
            "Je propose de poursuivre le traitement en cours.", "Prochain rendez-vous le {appt}.",
            "Un bilan sanguin est demandé.", "Une échographie cardiaque sera réalisée.",
        ),
        "signed": (
            "Signé électroniquement par le Dr {author} le {signed}", "Document signé : Dr {author}",
        ),
        "unsigned": ("Signature : ____________", "En attente de signature"),
    },
    "de": {
        "header": (
            "Universitätsklinikum", "Klinik für Innere Medizin", "Arztbrief", "Patient: {patient}",
            "geboren am {dob}", "Untersuchung vom {dos}", "Telefon {phone}",
        ),
        "history": (
            "Wir berichten über den Patienten im Alter von {age} Jahren.",
            "Es besteht eine arterielle Hypertonie und ein Diabetes mellitus Typ 2.",
            "Der Patient klagt über Atemnot bei Belastung.",
            "Kein Anhalt für eine Lungenentzündung.", "Die Mutter litt an Brustkrebs.",
            "Die Medikamente werden regelmäßig eingenommen.",
            "Fieber und Gewichtsverlust werden verneint.",
            "Vor einigen Jahren wurde das rechte Knie operiert.",
        ),
        "exam": (
            "Blutdruck {bp} mmHg, Puls {hr} pro Minute.",
            "Lunge seitengleich belüftet, keine Rasselgeräusche.",
            "Bauchdecke weich, kein Druckschmerz.", "Keine Ödeme an den Beinen.",
        ),
        "plan": (
            "Wir empfehlen eine Kontrolle der Blutwerte.", "Nächster Termin am {appt}.",
            "Die bisherige Therapie wird fortgesetzt.", "Eine Echokardiographie ist geplant.",
        ),
        "signed": ("Elektronisch signiert von Dr. {author} am {signed}", "gez. Dr. {author}"),
        "unsigned": ("Unterschrift: ____________", "Noch nicht unterschrieben"),
    },
}
