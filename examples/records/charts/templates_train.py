"""Wordings of the training split: no sentence here occurs in the test split.

Slots in braces are filled by `charts.ink`: {c} a condition the patient has, {n} a negated one,
{f} a relative's, {h} a hypothetical one; {s}, {ns}, {hs} the same for symptoms.
"""

# Dense, so that a section can be seen whole.
# fmt: off
LETTERHEADS = (
    (
        "{facility}", "{address}", "Phone: {phone}   Fax: {phone}", "", "{title}",
        "Patient: {patient}    DOB: {dob}", "MRN: {mrn}    Date of Service: {dos}",
        "Provider: {author}{cred}",
    ),
    (
        "{title}", "", "Name: {patient}", "Date of Birth: {dob}   Age: {age}   Sex: {sex}",
        "Visit Date: {dos}", "Chart #: {mrn}", "Seen by: {author}{cred}",
    ),
    ("{facility} - {title}", "{patient}   {mrn}   {dob}", "DOS {dos}   Printed {printed}"),
    (
        "Printed: {printed}  Page {page}", "{facility}", "{title}",
        "Pt: {patient}  DOB: {dob}  Ins ID: {ins}", "Encounter date: {dos}", "PCP: {doc}",
    ),
    (
        "FAX {faxed} {time} FROM {phone} LABORATORY P.{page}", "{facility}", "{title}",
        "PATIENT NAME: {patient}", "DATE OF BIRTH: {dob}", "DATE OF VISIT: {dos}", "MRN: {mrn}",
    ),
    (
        "{title}", "{patient} ({age} y.o. {sexw})", "Record no. {mrn}",
        "Service date {dos}, dictated {signed}", "Address: {address}", "Home phone: {phone}",
    ),
    (
        "{facility}", "{title}", "Encounter on {dos} with {author}{cred}",
        "Patient {patient}, born {dob}", "Next appointment: {appt}",
    ),
    (
        "Received {faxed} by fax from {facility}", "", "{title}",
        "{patient} | DOB {dob} | Acct {acc}", "Seen: {dos}    Last seen: {odate}",
    ),
)
CONTINUED = (
    ("{patient}   MRN {mrn}   {dos}   Page 2 of 2",),
    ("{title} (continued)", "Patient: {patient}   Date of Service: {dos}"),
    ("Page 2", "{patient}, DOB {dob}, visit of {dos}"),
    ("{mrn} / {dos} / continued",),
)
UNDATED = (
    ("{patient}   Page 2 of 2",),
    ("{title} (continued)", "MRN: {mrn}   DOB: {dob}"),
)
TITLES = {
    "progress_note": (
        "PROGRESS NOTE", "Office Visit", "Follow-up Visit Note", "Primary Care Progress Note",
        "SOAP Note", "Clinic Note - Established Patient", "Annual Wellness Visit",
        "Discharge Planning Meeting - Progress Note", "Telehealth Visit", "Daily Progress Note",
        "Visit Note: Lab Review",
    ),
    "discharge_summary": (
        "DISCHARGE SUMMARY", "Hospital Discharge Summary", "Summary of Hospitalization",
        "Discharge Note", "Inpatient Discharge Report",
    ),
    "lab_report": (
        "LABORATORY REPORT", "Clinical Laboratory Results", "Final Lab Report",
        "Chemistry and Hematology Results", "LAB RESULTS - FINAL",
    ),
    "medication_list": (
        "MEDICATION LIST", "Current Medications", "Active Medication Summary",
        "Medication Reconciliation", "Pharmacy Profile",
    ),
    "referral": (
        "REFERRAL", "Referral Letter", "Consultation Request", "Referral to Specialist",
        "Request for Consultation (Discharge summary enclosed)",
    ),
}
HEADINGS = {
    "history": (
        "HISTORY OF PRESENT ILLNESS:", "HPI:", "History", "Subjective:", "S:",
        "PAST MEDICAL HISTORY:", "Interval History:",
    ),
    "family": ("FAMILY HISTORY:", "FHx:", "Family Hx", "Family History"),
    "exam": ("PHYSICAL EXAM:", "Exam:", "Objective:", "O:", "Physical Examination"),
    "labs": ("LABS:", "Laboratory Data:", "Recent Labs", "RESULTS:"),
    "medications": ("MEDICATIONS:", "Current Meds:", "Meds", "Home Medications:"),
    "assessment": ("ASSESSMENT:", "Assessment", "Impression:", "A:", "DIAGNOSES:"),
    "plan": ("PLAN:", "Plan", "P:", "Recommendations:", "Follow-up:"),
    "other": ("SOCIAL HISTORY:", "Allergies:", "Social Hx:", "Immunizations:", "NOTES:"),
}
ORDERS = {
    "progress_note": (
        "history family medications exam labs assessment plan",
        "history medications family other exam assessment plan",
        "history exam labs assessment plan",
        "other history family exam medications labs assessment plan",
        "history other medications exam assessment plan",
    ),
    "discharge_summary": (
        "assessment history exam labs medications plan",
        "history family labs assessment medications plan",
        "history other exam assessment plan medications",
    ),
    "referral": ("history medications plan", "history assessment plan", "assessment history other"),
}
HISTORY = (
    "{patient} is a {age}-year-old {sexw} with {c}, {c} and {c} who presents for follow up.",
    "{mr} is here today for {his} {c}.", "{He} has a history of {c} and {c}.",
    "{He} was diagnosed with {c} in {odate}.", "PMH significant for {c}, {c}.",
    "{C} has been stable since the last visit on {odate}.", "{He} c/o {s} for the past {num} days.",
    "{He} reports that {his} {c} is worse in the evenings.", "Known {c}, followed by {doc}.",
    "{He} continues {drug} {dose} {freq} for {c}.", "h/o {c}, s/p evaluation at {facility}.",
    "{He} was started on {drug} for {c} by {doc}.", "Reports good compliance with {drug}.",
    "{He} lives at {address} and can be reached at {phone}.",
    "Last hospitalized on {odate} for {c}.",
    "{He} has been taking {drug} {dose} without side effects.", "Sleep and appetite are fair.",
    "{He} walks about {num} blocks before having to rest.",
)
GENERAL = (
    "Sleep is fair and {he} wakes up once or twice a night.",
    "Appetite has been good and weight is about the same as at the last visit.",
    "{He} checks blood pressure at home, usually around {bp}.",
    "{He} was seen by {doc} on {odate} and no changes were made.",
    "Uses a cane outside the house and a walker on bad days.",
    "Medications were reviewed with the patient and with {rel} {relname}.",
    "{He} brought a list of home readings, the last one on {odate}.",
    "No new medications since {odate}.", "{He} tries to walk {num} times a week with a neighbor.",
    "Ran out of {drug} last week because the pharmacy was closed.",
    "Prior records were requested from {facility}, phone {phone}.",
    "Last eye exam {odate}, last colonoscopy {odate}.",
    "Time spent with the patient was {num}5 minutes, more than half in counselling.",
)
NEGATED = (
    "{He} no longer complains of {ns}.", "{C} present, {n} absent.",
    "{He} denies {ns}, {ns} or {ns}.", "No evidence of {n} at this time.",
    "Negative for {ns}, {n} or {n}.", "{N} was ruled out.", "{N} is unlikely.", "Denies any {ns}.",
    "Without {ns} or {ns}.", "{He} no longer has {n}.", "No h/o {n} or {n}.", "{N}: resolved.",
    "Workup did not show {n}.", "{He} has never had {n}.", "No {ns}, no {ns}.",
    "There is no sign of {n}.", "Patient stopped {dn} last month.",
)
TRAPS = (
    "No {ns} but has {c}.", "{He} has not only {c} but also {c}.", "No change in {c}.",
    "{He} denies {ns}, however {c} persists.", "There is no doubt that this is {c}.",
    "{C} without {n}.", "Not able to exercise because of {c}.", "{C} has not improved with {drug}.",
    "No new complaints, {c} as before.", "{He} denied missing doses of {drug} for {c}.",
)
FAMILY = (
    "{Rel} with {f}.", "FHx: {f} ({rel}), {f} ({rel}).", "{Rel} had {f} and {f}.",
    "Positive for {f} in {his} {rel}.", "{Rel} died of {f} at age {years}.",
    "{Rel} {relname} is treated for {f}.", "There is a family history of {f}.",
    "{f} - {rel}; {f} - {rel}.", "Strong family history of {f} on the paternal side.",
    "No family history of {fn}.", "{Rel}: {f}, {f}.",
)
NOT_FAMILY = (
    "{He} lives with {his} {rel}, who helps with {his} {c}.",
    "{Rel} {relname} accompanies {him} today and worries about {his} {c}.",
    "{His} {rel} called about {his} {c}.",
)
HYPOTHETICAL = (
    "Return if {hs} or {hs}.", "Call the office for {hs}.", "Go to the ER if {hs} develops.",
    "Screen for {h} next year.", "At risk for {h}.", "Consider {dh} if {h} is confirmed.",
    "Rule out {h}.", "Watch for signs of {h}.", "Will test for {h}.",
    "Discussed how to prevent {h}.", "r/o {h}.",
)
EXAM = (
    "BP {bp}, HR {hr}, Temp {temp}, RR {rr}, SpO2 {spo2}%.",
    "Vitals: BP {bp}  P {hr}  Wt {wt} lb  BMI {bmi}", "General: well appearing, no acute distress.",
    "HEENT: normocephalic, oropharynx clear.", "Lungs: clear to auscultation bilaterally.",
    "Heart: regular rate and rhythm, no murmur.", "Abdomen: soft, nontender, bowel sounds present.",
    "Extremities: no edema, pulses 2+.", "Neuro: alert and oriented x3, gait steady.",
    "Skin: warm and dry, no rash.", "Psych: mood and affect appropriate.",
    "Lungs with scattered wheezes at the bases.",
    "Trace edema at both ankles, consistent with {c}.", "Neck: supple, no bruits.",
)
LABS = ("{lab}", "{lab}", "{lab}", "{labval} on {odate}", "Last {labval}.")
MEDS = (
    "{drug} {dose} {freq}", "{item}. {drug} {dose} PO {freq}", "- {drug} {dose}, 1 tab {freq}",
    "{drug} {dose} {freq} for {c}", "{drug} {dose} - refill x{num}",
    "* {drug} ({dose}) take {freq}", "{dn} - DISCONTINUED {odate}",
)
ASSESSMENT = (
    "{item}. {C} - stable, continue {drug}.", "{item}. {C}",
    "{C}: well controlled on {drug} {dose}.", "{C} and {c}, both stable.", "# {C}: not at goal.",
    "{C}, followed by {doc}.", "{C} ({code})", "- {C}, chronic", "{C} with slow progress.",
    "{S}, likely due to {c}.", "{item}) {C} / {c}.",
)
PLAN = (
    "May add {dh} later if needed.", "Samples of {drug} were given, next dose tonight.",
    "Patient verbalized understanding and agrees with the above.", "Continue {drug} {dose} {freq}.",
    "Increase {drug} to {dose} {freq}.", "Follow up on {appt}.",
    "RTC in {num} weeks, appt {appt} at {time}.", "Check CBC and CMP before next visit.",
    "Refer to {doc} for {c}.", "Low salt diet, daily weights.",
    "Labs ordered, {nurse} will call with results.",
    "Patient advised to call {phone} with questions.", "Start {drug} {dose} for {c}.",
    "Counselled on diet and exercise.", "Flu vaccine given today.",
)
OTHER = (
    "Former smoker, quit {num} years ago.", "Allergic to {dn} (rash).",
    "Retired teacher, lives with spouse {relname}.", "Drinks {num} glasses of wine per week.",
    "Signed consent obtained for the procedure.", "Emergency contact: {relname}, {phone}.", "NKDA.",
    "Advance directive signed by the patient on {odate}.",
    "Insurance {ins} verified by front desk.", "Interpreter not needed.",
    "Reviewed by {nurse} before the visit.", "Copy sent to {doc}.",
)
HOSPITAL = (
    "{mr} was admitted on {admit} with {s} and found to have {c}.",
    "Admission date: {admit}. Discharge date: {dos}.", "{He} was treated with {drug} and improved.",
    "Hospital course was complicated by {c}.", "{C} was managed with {drug} {dose}.",
    "CT was negative for {n}.", "{He} was discharged home in stable condition.",
    "Cardiology ({doc}) was consulted for {c}.", "Discharge diagnoses: {c}, {c}, {c}.",
    "{N} was excluded by ultrasound.", "{He} was seen by {nurse} for teaching before discharge.",
    "Condition at discharge: good.",
)
REFERRAL = (
    "Dear {doc},", "Thank you for seeing {mr}, a {age}-year-old {sexw} with {c}.",
    "I saw {patient} on {dos} and would value your opinion on {his} {c}.",
    "Reason for referral: {c}.", "{He} also has {c} and {c}.", "Please evaluate for possible {h}.",
    "{He} is currently taking {drug} and {drug}.", "Discharge summary of {odate} enclosed.",
    "There is no history of {n}.", "Appointment requested before {appt}.",
    "{His} insurance ID is {ins}.", "Please call {phone} to schedule.",
    "Recent lab report attached: {labval}.",
)
SIGNED = (
    ("Electronically signed by {author}{cred} on {signed} {time}",),
    ("/s/ {author_short}{cred}",),
    ("Signature on file: {author}{cred}",),
    ("Signed: {author}{cred}    Date: {signed}",),
    ("{author}{cred}", "Electronically authenticated {signed}"),
    ("Digitally signed by {author}{cred}", "{facility}, {signed}"),
    ("eSigned {author_short}{cred} {signed}", "cc: {doc}"),
    ("Sincerely,", "[signed] {author}{cred}"),
    ("This note was signed electronically by {author}{cred}.",),
    ("Reviewed and signed by {author}{cred} at {time} on {signed}",),
)
UNSIGNED = (
    ("Signature: ____________________", "{author}{cred}"),
    ("Dictated but not signed", "{author}{cred}"),
    ("Signature: ______________  Date: ________",),
    ("Dictated by {author}{cred}, transcribed {signed}",),
    ("UNSIGNED DRAFT - {author}{cred}",),
    ("Author: {author}{cred}", "Status: awaiting signature"),
    ("cc: {doc}",),
    ("Provider signature required", "x______________________"),
)
FOOTERS = (
    "Page {page} of {pages}", "Printed {printed} by {nurse}", "CONFIDENTIAL - contains PHI",
    "{mrn}  {page}", "Faxed {faxed} {time}", "{facility}  Tel {phone}", "Acct {acc}",
)
LAB_HEADS = (
    (
        "{title}", "{facility}", "Patient: {patient}   DOB: {dob}   Sex: {sex}",
        "Collected: {dos}   Reported: {signed}", "Accession: {acc}", "Ordering provider: {doc}",
        "Test            Result     Reference   Flag",
    ),
    ("{facility}", "{title}", "{patient}  {mrn}", "Specimen date {dos}", "Physician: {doc}"),
    ("ACCESSION {acc}", "{title}", "Name {patient}", "Drawn {dos} {time} Printed {printed}"),
)
LAB_NOTES = (
    "Fasting: yes", "Results reviewed by {doc}", "H = high, L = low", "Clinical information: {c}",
    "Diagnosis provided: {c}, {c}", "Specimen: serum", "Performed at {facility}, {address}",
    "Method: immunoassay", "eGFR suggests {c}.",
)
MED_HEADS = (
    ("{title}", "{patient}   DOB {dob}", "Printed {printed}", "Pharmacy phone: {phone}"),
    ("{facility}", "{title}", "Patient: {patient}  MRN: {mrn}", "Allergies: {dn}"),
    ("{title} as of {printed}", "Name: {patient}", "Reconciled by {nurse}"),
)
COVERS = (
    (
        "FAX COVER SHEET", "", "To: {doc}", "From: {facility}", "Fax: {phone}", "Date: {faxed}",
        "Pages: {pages}", "Re: {patient}, DOB {dob}", "",
        "Enclosed: progress notes, discharge summary, lab reports, medication list",
    ),
    (
        "MEDICAL RECORDS REQUEST", "Patient: {patient}", "Member ID: {ins}", "Sent {faxed}",
        "Please find attached: [x] Office notes [x] Labs [ ] Referral [x] Discharge summary",
        "Contact: {relname} {phone}",
    ),
    (
        "Chart Cover Page", "{facility}", "{address}", "Chart {mrn}", "{patient}", "Contents",
        "1. Referral ........ 2", "2. Lab report ...... 5", "3. Visit notes ..... 9",
    ),
    (
        "TRANSMITTAL", "Attn: {nurse}", "Date sent: {faxed}", "Subject: records of {patient}",
        "Number of pages incl. cover: {pages}", "Urgent [ ]  For review [x]  Please reply [ ]",
    ),
)
COVER_NOTES = (
    "This transmission is intended only for the addressee named above.",
    "If you have received this fax in error please notify us at {phone}.",
    "Unauthorized disclosure is prohibited by law.",
    "Records are released under the authorization dated {odate}.", "Please destroy after use.",
    "Thank you, {relname}, Health Information Management",
    "Dates requested: all visits in the calendar year.", "Return to {address}",
)
BLANKS = (
    "", ". '", "[intentionally left blank]", "{page}", "Page {page}", ".  .   ,", "|  ~ .",
    "-- {page} --", "'", "_ .. ,",
)
