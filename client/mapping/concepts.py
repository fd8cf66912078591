"""What a column's name means: the names that clinics use for the same measurement.

A name is compared without case, blanks, punctuation and words that say nothing (`value`, `last`).
The table is small on purpose: a name that it does not have is compared letter by letter, and what
it finds is a proposal that an engineer reads.
"""

import re
from difflib import SequenceMatcher

SYNONYMS: dict[str, str] = {
    "patient": "patient_id patientid patient pid pat_id patnr subject subject_id person_id mrn "
    "case_id id record_id patient_no patient_number",
    "age": "age age_years years_old alter ageatadmission age_at_admission edad",
    "sex": "sex gender male is_male sex_male geschlecht sexo sexe",
    "systolic": "systolic sbp sys_bp sysbp systolic_bp systolic_blood_pressure trestbps restbp "
    "resting_bp ap_hi rr_syst bp_sys nibp_sys",
    "diastolic": "diastolic dbp dia_bp diabp diastolic_bp diastolic_blood_pressure ap_lo rr_diast "
    "bp_dia nibp_dia",
    "map": "map mean_arterial_pressure mbp",
    "heart_rate": "heart_rate hr pulse heartrate pulse_rate herzfrequenz",
    "max_heart_rate": "thalach thalachh max_hr maxhr max_heart_rate maximum_heart_rate peak_hr",
    "respiratory_rate": "respiratory_rate resp_rate rr breathing_rate",
    "temperature": "temperature temp body_temp body_temperature temp_c temp_f tympanic",
    "saturation": "spo2 sao2 o2sat oxygen_saturation saturation o2_sat pulse_ox",
    "height": "height body_height stature groesse height_cm",
    "weight": "weight body_weight bodyweight gewicht weight_kg wt",
    "bmi": "bmi body_mass_index quetelet",
    "glucose": "glucose glu blood_glucose gluc bg blood_sugar glucose_mgdl plasma_glucose",
    "fasting_sugar": "fbs fasting_blood_sugar fasting_sugar fasting_bs",
    "hba1c": "hba1c a1c hemoglobin_a1c haemoglobin_a1c glycated_hemoglobin hb_a1c ghb",
    "cholesterol": "cholesterol chol total_cholesterol tc serum_cholesterol tchol cholesterin",
    "hdl": "hdl hdl_c hdlc hdl_cholesterol hdl_chol",
    "ldl": "ldl ldl_c ldlc ldl_cholesterol ldl_chol",
    "triglycerides": "triglycerides trig tg triglyceride trigs",
    "creatinine": "creatinine crea creat scr serum_creatinine cr kreatinin",
    "urea": "urea harnstoff serum_urea",
    "bun": "bun blood_urea_nitrogen urea_nitrogen",
    "uric_acid": "uric_acid urate harnsaeure",
    "egfr": "egfr gfr estimated_gfr",
    "bilirubin": "bilirubin bili total_bilirubin tbil",
    "albumin": "albumin alb serum_albumin",
    "calcium": "calcium ca_serum serum_calcium total_calcium",
    "magnesium": "magnesium mg_serum serum_magnesium",
    "phosphate": "phosphate phosphorus phos",
    "sodium": "sodium na natrium serum_sodium",
    "potassium": "potassium k kalium serum_potassium",
    "chloride": "chloride cl chlorid",
    "bicarbonate": "bicarbonate hco3 co2 bicarb total_co2",
    "iron": "iron fe serum_iron",
    "haemoglobin": "haemoglobin hemoglobin hb hgb haemoglobin_total",
    "haematocrit": "haematocrit hematocrit hct pcv",
    "platelets": "platelets plt platelet_count thrombocytes thrombozyten",
    "leukocytes": "leukocytes wbc white_blood_cells leucocytes white_cell_count leukozyten",
    "erythrocytes": "erythrocytes rbc red_blood_cells red_cell_count",
    "lactate": "lactate lactic_acid lac",
    "crp": "crp c_reactive_protein hscrp hs_crp",
    "tsh": "tsh thyrotropin thyroid_stimulating_hormone",
    "t3": "t3 tt3 total_t3 triiodothyronine",
    "t4": "t4 tt4 total_t4 thyroxine",
    "ft3": "ft3 free_t3",
    "ft4": "ft4 free_t4 free_thyroxine",
    "alt": "alt alat sgpt gpt alanine_aminotransferase",
    "ast": "ast asat sgot got aspartate_aminotransferase",
    "alp": "alp alkaline_phosphatase",
    "ggt": "ggt gamma_gt gamma_glutamyl_transferase",
    "ldh": "ldh lactate_dehydrogenase",
    "ck": "ck creatine_kinase cpk",
    "vitamin_d": "vitamin_d vit_d 25ohd 25_oh_vitamin_d",
    "vitamin_b12": "vitamin_b12 b12 cobalamin",
    "cortisol": "cortisol",
    "testosterone": "testosterone",
    "oestradiol": "oestradiol estradiol e2",
    "folate": "folate folic_acid",
    "chest_pain": "cp chest_pain chest_pain_type chestpaintype pain_type",
    "resting_ecg": "restecg rest_ecg resting_ecg restingecg ecg",
    "exercise_angina": "exang exercise_angina exerciseangina exercise_induced_angina angina",
    "st_depression": "oldpeak st_depression old_peak stdepression",
    "st_slope": "slope st_slope slp",
    "fluoroscopy": "ca num_vessels major_vessels vessels caa nmajvess",
    "thallium": "thal thall thallium thallium_scan",
    "disease": "num target disease heart_disease heartdisease diagnosis outcome label",
    "smoker": "smoker smoking smokes current_smoker smoking_status raucher",
    "diabetes": "diabetes diabetic dm diabetes_mellitus",
}
_NOISE = {
    *("value", "val", "result", "last", "first", "mean", "baseline", "measured", "lab", "the"),
    *("num", "numeric", "text", "code", "mmhg", "kpa", "mgdl", "mmol", "mmoll", "umol", "dl"),
}


def normalised(name: str) -> str:
    """Return a name in lower case, without punctuation and words that say nothing."""
    # camelCase is two words, and HR stays one.
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name).lower()
    words = re.split(r"[^\w]+|_+", spaced)
    kept = [word for word in words if word and word not in _NOISE]
    return "".join(kept or words)


_MEANINGS = {
    normalised(name): concept for concept, names in SYNONYMS.items() for name in names.split()
}


def concept_of(name: str) -> str:
    """Return what a column's name means, "" where the table does not have it."""
    return _MEANINGS.get(normalised(name), "")


def likeness(study: str, local: str) -> tuple[float, str]:
    """Return how well two names fit, 0 to 1, and why."""
    if study == local:
        return 1.0, "same name"
    ours, theirs = normalised(study), normalised(local)
    if ours == theirs:
        return 0.98, "same name but for case and signs"
    meaning, other = concept_of(study), concept_of(local)
    if meaning and meaning == other:
        return 0.9, f"both are names of {meaning.replace('_', ' ')}"
    if meaning and other:
        return 0.0, f"{other.replace('_', ' ')} is another measurement"
    return 0.85 * SequenceMatcher(None, ours, theirs, autojunk=False).ratio(), "alike name"
