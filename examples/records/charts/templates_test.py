"""Wordings of the test split: no sentence here occurs in training; see `templates_train`."""

# Dense, so that a section can be seen whole.
# fmt: off
LETTERHEADS = (
    (
        "{title}", "{facility} * {address}", "Client: {patient}", "Birthdate {dob}; record {mrn}",
        "Date seen: {dos}", "Clinician: {author}{cred}",
    ),
    ("{patient} | {mrn} | b. {dob}", "{title} | {dos}", "{facility}"),
    (
        "{facility}", "T {phone}  F {phone}", "", "{title} for visit on {dos}",
        "Re {patient} (DOB {dob})", "Attending: {author}{cred}", "Insurance no: {ins}",
    ),
    (
        "Print date {printed}", "{title}", "Patient Name / ID: {patient} / {mrn}",
        "D.O.B.: {dob}    D.O.S.: {dos}", "Gender: {sex}   Age {age}", "Referring: {doc}",
    ),
    (
        "Fax received {faxed} {time}  LABORATORY & IMAGING DEPT  pg {page}", "{title}", "{patient}",
        "Born {dob}, account {acc}", "Date of encounter {dos}",
    ),
    (
        "{facility}", "{address}", "{title}", "Visit: {dos}  Follow up: {appt}",
        "{patient} - {age}yo {sexw} - {mrn}",
    ),
    (
        "{title}", "Performed {dos} by {author}{cred}", "Prior visit {odate}", "Pt name {patient}",
        "Pt tel {phone}", "Pt DOB {dob}",
    ),
)
CONTINUED = (
    ("cont'd - {patient} - {dos}",),
    ("{mrn}   pg 2/2   Date seen: {dos}",),
    ("{facility}", "{title}, sheet 2, encounter {dos}"),
)
UNDATED = (("cont'd - {patient} ({mrn})",), ("{title}, sheet 2 of 2", "b. {dob}"))
TITLES = {
    "progress_note": (
        "Outpatient Progress Report", "Encounter Note", "Return Visit", "CLINIC FOLLOW-UP",
        "Physician Progress Record", "Medicare Wellness Exam", "Virtual Visit Note",
        "Progress note after discharge planning conference", "Visit Summary - Lab Discussion",
    ),
    "discharge_summary": (
        "Discharge Summary Report", "SUMMARY OF INPATIENT STAY", "Final Discharge Summary",
        "Hospital Course and Discharge",
    ),
    "lab_report": (
        "Lab Result Report", "PATHOLOGY & LABORATORY - RESULTS", "Cumulative Lab Summary",
        "Test Results (final)",
    ),
    "medication_list": (
        "Med List", "MEDICATION PROFILE", "List of Current Prescriptions", "Med Rec Form",
    ),
    "referral": (
        "Specialist Referral Form", "REFERRAL REQUEST", "Letter of Referral",
        "Consult Referral - with copy of discharge summary",
    ),
}
HEADINGS = {
    "history": (
        "Present Illness", "HX:", "Reason for Visit / History:", "SUBJECTIVE", "Medical History:",
        "Interim events",
    ),
    "family": ("Family Medical History", "FH:", "FAMILY HX:", "Relatives:"),
    "exam": ("OBJECTIVE FINDINGS", "PE:", "Examination", "Vitals and exam:"),
    "labs": ("Lab Results:", "LABORATORY", "Data reviewed:", "Bloodwork"),
    "medications": ("Medication list:", "RX:", "Drugs", "Current Prescriptions:"),
    "assessment": ("IMPRESSION", "Assessment/Dx:", "Problem list:", "Clinical impression"),
    "plan": ("Plan of care:", "RECOMMENDATION", "Disposition / Plan", "Next steps:"),
    "other": ("Soc Hx:", "ALLERGIES / REACTIONS", "Habits", "Administrative:"),
}
ORDERS = {
    "progress_note": (
        "medications history exam family assessment plan",
        "assessment history family exam labs plan",
        "history labs family other exam assessment plan medications",
        "history assessment plan exam labs", "other medications history exam assessment plan",
    ),
    "discharge_summary": (
        "history exam assessment labs plan medications",
        "assessment history family medications plan other",
        "history medications labs assessment plan",
    ),
    "referral": ("assessment medications history", "history other plan", "history labs plan"),
}
HISTORY = (
    "This {age} y/o {sexw}, {patient}, carries diagnoses of {c}, {c} and {c}.",
    "{mr} comes in to discuss {c}.", "Medical problems include {c} and {c}.",
    "{C} was first noted on {odate}.", "Hx of {c}; {c} as well.",
    "Since {odate} the {c} has behaved.", "{He} complains of {s} on and off for {num} weeks.",
    "{His} {c} bothers {him} mostly at night.", "{He} sees {doc} for {c}.",
    "For {c} {he} uses {drug} {dose} {freq}.", "s/p treatment for {c} at {facility}.",
    "{doc} prescribed {drug} because of {c}.", "Takes {drug} as directed.",
    "Resides at {address}; daytime number {phone}.", "Admitted {odate} because of {c}.",
    "Tolerates {drug} {dose} well.", "Energy level is about the same as before.",
)
GENERAL = (
    "Nights are quiet, {he} gets about {num} hours of rest.",
    "Eats three meals, no big shifts on the bathroom scale.", "Home cuff shows values near {bp}.",
    "{doc} examined {him} {odate} and left everything as it was.",
    "Gets around with a rollator, stairs are difficult.",
    "We went over all pills together; {rel} {relname} sorts them into a box.",
    "Paper log of sugars and pressures was scanned on {odate}.",
    "Drug list is unchanged from {odate}.",
    "Spends the day gardening and reading, goes out {num} days a week.",
    "Needs new prescription for {drug}.",
    "Outside chart from {facility} was obtained by calling {phone}.",
    "Mammogram or PSA {odate}; eye doctor {odate}.",
    "Total visit time {num}0 minutes including paperwork.",
)
NEGATED = (
    "There was neither {ns} nor {ns}.", "{N}: absent; {c}: present.",
    "Pt. denies having {ns}, {ns} and {ns}.", "{N} not found.", "ROS negative for {ns}, {ns}, {n}.",
    "We ruled out {n}.", "I doubt {n}.", "Free of {ns} and {ns}.", "{N} has resolved.",
    "{He} does not have {n}.", "{He} has had no {ns} or {ns} since.",
    "Tests were negative for {n} and {n}.", "Never diagnosed with {n}.", "Absence of {n} is noted.",
    "{He} is no longer taking {dn}.",
)
TRAPS = (
    "Although without {ns}, {he} does have {c}.", "Not just {c}: {c} too.",
    "{C} unchanged, no improvement.", "Denies {ns} but admits to {s}.",
    "No question about the {c}.", "{C} cannot be ignored.", "{He} never forgets {drug} for {c}.",
    "{He} is not happy with how {his} {c} is controlled.", "Not in distress; {c} noted again.",
)
FAMILY = (
    "{Rel} has {f}.", "{Rel} (deceased): {f}.", "{f} in {his} {rel} and {f} in {his} {rel}.",
    "{His} {rel} was diagnosed with {f} at {years}.", "Runs in the family: {f}.",
    "{Rel} {relname} passed away from {f}.", "FH notable for {f} ({rel}) and {f} ({rel}).",
    "{f}: {rel}.", "Relatives with {f}: {rel}, {rel}.", "Nobody in the family with {fn}.",
)
NOT_FAMILY = (
    "{His} {rel} drives {him} to visits for {his} {c}.",
    "Per {rel} {relname}, {his} {c} is getting worse.",
    "Stays with {his} {rel} since {his} {c} worsened.",
)
HYPOTHETICAL = (
    "Come back right away in case of {hs}.", "If {hs} or {hs} occurs call 911.",
    "Would start {dh} should {h} appear.", "Increased risk of {h}.", "Evaluate for {h}.",
    "To exclude {h} we will repeat the test.", "Education given about {h}.",
    "Screening for {h} is due.", "Possible {h}, to be clarified.",
)
EXAM = (
    "Blood pressure {bp}, pulse {hr}, resp {rr}, sat {spo2}% on RA.",
    "T {temp}  BP {bp}  Weight {wt}  BMI {bmi}", "Appears comfortable and in good spirits.",
    "Pupils equal and reactive, throat without exudate.", "Chest: good air entry on both sides.",
    "CV: S1 S2 normal, no gallop.", "Belly soft, not tender, no masses felt.",
    "Legs: mild swelling, fits with {c}.", "Cranial nerves intact, strength 5/5.",
    "No skin lesions seen.", "Joints: full range of motion.", "Thyroid not enlarged.",
)
LABS = ("{lab}", "{lab}", "{lab}", "{odate}: {labval}", "Most recent {labval}")
MEDS = (
    "{drug} - {dose} - {freq}", "[{item}] {drug} {dose} by mouth {freq}",
    "{drug}, {dose}, {freq} (for {c})", "> {drug} {dose} {freq} disp #{num}0",
    "{freq}: {drug} {dose}", "stopped: {dn} ({odate})",
)
ASSESSMENT = (
    "{item} - {C}: doing well with {drug}.", "{C}.", "Dx {item}: {c}",
    "{C} is controlled; stays on {drug} {dose}.", "{C} plus {c} - no new issues.", "{C} [{code}]",
    "{C} being managed by {doc}.", "{S} which I attribute to {c}.", "Active: {c}; {c}.",
    "{C} (chronic, ongoing)",
)
PLAN = (
    "{dh} could be an option in the future.", "Bring all bottles, also {drug}, to the next visit.",
    "The patient understands and accepts what was proposed.", "Keep {drug} at {dose} {freq}.",
    "Titrate {drug} up to {dose}.", "See again on {appt}.", "Next appt {appt} {time}.",
    "Repeat blood tests in {num} months.", "Consult {doc} about {c}.",
    "Diet and fluid advice given.", "{nurse} to phone with lab results.",
    "Any problems: call {phone}.", "Begin {drug} {dose} to treat {c}.",
    "Pneumonia shot offered, will think about it.",
)
OTHER = (
    "Tobacco: stopped {num} yrs back.", "Reaction to {dn}: hives.",
    "Worked as a driver, now retired; married to {relname}.", "Alcohol: socially.",
    "Consent form signed by patient and witnessed.", "Next of kin {relname} tel {phone}.",
    "No known drug allergies.", "HIPAA notice signed {odate}.", "Coverage checked, member {ins}.",
    "Vitals taken by {nurse}.", "Carbon copy: {doc}.",
)
HOSPITAL = (
    "Patient came to the hospital {admit} because of {s}; diagnosis was {c}.",
    "In: {admit}   Out: {dos}", "Received {drug} with good effect.", "During the stay {c} flared.",
    "For {c} we gave {drug} {dose}.", "Imaging showed no {n}.",
    "Left the hospital walking, stable.", "{doc} saw the patient regarding {c}.",
    "Final diagnoses {c}; {c}; {c}.", "{N} could be excluded.",
    "Discharge teaching done by {nurse}.",
)
REFERRAL = (
    "To {doc}:", "Kindly see {mr}, {age}, who has {c}.",
    "At the visit on {dos} with {patient} we talked about {c}.", "Indication: {c}.",
    "Other problems are {c} and {c}.", "Question: is this {h}?", "Drugs taken: {drug}, {drug}.",
    "Attached you find the discharge summary from {odate}.", "{He} has no {n}.",
    "Would appreciate a slot by {appt}.", "Member number {ins}.", "Our direct line is {phone}.",
    "Lab report enclosed ({labval}).",
)
SIGNED = (
    ("E-signed: {author}{cred}, {signed}",),
    ("//{author_short}{cred}// {time}",),
    ("Sig. on file - {author}{cred}",),
    ("Note completed and signed by {author}{cred}", "{signed} {time}"),
    ("Authenticated by {author}{cred} {signed}",),
    ("Electronic signature: {author}{cred}", "Copies: {doc}"),
    ("With kind regards,", "(signature) {author}{cred}"),
    ("I, {author}{cred}, have signed this note on {signed}.",),
)
UNSIGNED = (
    ("Sign here: ..................", "{author}{cred}"),
    ("Not yet signed by {author}{cred}",),
    ("Sig: __________   Dt: ______",),
    ("Transcribed for {author}{cred} on {signed}, signature pending",),
    ("PRELIMINARY - {author}{cred} has not authenticated this report",),
    ("Copies: {doc}",),
    ("Prepared by {author}{cred}",),
)
FOOTERS = (
    "pg {page} / {pages}", "Output {printed}, user {relname}", "Private and confidential",
    "rec {mrn} - {page}", "via fax {faxed}", "{facility} {phone}", "Case {acc}",
)
LAB_HEADS = (
    (
        "{facility}", "{title}", "Subject: {patient} ({sex}) {dob}", "Sample taken {dos}",
        "Lab no. {acc}", "Requested by {doc}", "Analyte / Value / Range",
    ),
    ("{title}", "{mrn} {patient}", "Collection {dos}, result {signed}", "Requester {doc}"),
    ("Printed {printed}", "{title}", "ID {acc}", "{patient}", "Specimen collected on {dos}"),
)
LAB_NOTES = (
    "Patient fasting: no", "Seen by {doc}", "* outside of range", "Dx: {c}", "Indication {c}; {c}",
    "Sample quality good", "Laboratory: {facility}, {address}", "Result in keeping with {c}.",
)
MED_HEADS = (
    ("{facility}", "{title}", "For {patient}, b. {dob}", "Output on {printed}"),
    ("{title} ({printed})", "{patient} {mrn}", "Intolerance: {dn}", "Checked: {nurse}"),
    ("{title}", "Client {patient}", "Drugstore tel. {phone}"),
)
COVERS = (
    (
        "FACSIMILE", "{faxed}", "Recipient {doc}", "Sender {facility} {phone}",
        "{pages} sheets including this one", "Concerning {patient}", "",
        "Contents: visit notes / labs / discharge summary / referral / med list",
    ),
    (
        "Release of Information", "Name {patient}, b. {dob}", "Member {ins}", "Mailed {faxed}",
        "Included: labs (yes) notes (yes) discharge papers (no)", "Clerk: {relname} {phone}",
    ),
    (
        "RECORDS - COVER", "{facility}", "{address}", "{patient} / {mrn}", "Index:",
        "Discharge summary p. 3", "Lab results p. 6", "Medications p. 11",
    ),
)
COVER_NOTES = (
    "The documents behind this sheet are confidential.", "Sent to you by mistake? Call {phone}.",
    "Redisclosure is not permitted.", "Authorization of {odate} is on file and signed.",
    "Kindly confirm receipt.", "Prepared by {relname}, records department",
    "Mail originals to {address}", "Period asked for: the past year.",
)
BLANKS = (
    "", "' .", "This page intentionally left blank", "{page}", "- {page} -", ", .  .", "~ |",
    "(blank)", "p. {page}", ".. _",
)
