"""The studies that are hurt: one for each privacy profile, small, of made-up patients."""

PROFILES = ("none", "robust", "masked")
SITES = {
    "none": ("ash", "birch"),
    "robust": ("ash", "birch", "elm"),
    "masked": ("ash", "birch", "elm", "fir"),
}
"""Of four masked sites one may drop out; of three none may, for a sum of two protects nobody."""
ROUNDS, SPARE, RUN_SEED = 5, 3000, 7
_HEAD = """schema = 1
name = "chaos"
purpose = "A rehearsal on made-up patients: what becomes of a run whose parts are hurt"
"""
SMALL = """features = [
  { name = "age", unit = "years", usual = [20, 90], plausible = [18, 110] },
  { name = "sex", kind = "category", categories = ["F", "M"] },
  { name = "creatinine", unit = "mg/dL", usual = [0.4, 2.0], plausible = [0.1, 20], log = true },
]
tasks = [{ name = "kidney disease", column = "kidney", prevalence = [0.05, 0.5] }]
model = { hidden = 16 }
algorithm = { name = "fomaml", inner_steps = 3 }
episodes = { support = 5, query = 5 }
"""
"""Features, task and a small model, for `simulation.founding.write_patients`."""
_NOISE = f"clip_norm = 0.5\nnoise_multiplier = 100.0\ncoin = 0.5\nspare_rounds = {SPARE}\n"
_PRIVACY = {
    "none": "",
    "robust": _NOISE + 'aggregation = "centred-clipping"\n',
    "masked": _NOISE,
}
_LIMITS = {
    "none": "unprotected = true\n",
    "robust": f"min_cohort = 3\nmax_epsilon = 100.0\nmax_rounds = {SPARE + ROUNDS}\n",
    "masked": f"min_cohort = 3\nmax_epsilon = 100.0\nmax_rounds = {SPARE + ROUNDS}\n",
}


def study_text(profile: str) -> str:
    """Return the study.toml of a profile. Its releases last for hundreds of runs."""
    sites = ", ".join(_site(name, profile) for name in SITES[profile])
    server = f'{{ rounds = {ROUNDS}, optimizer = "adam", meta_lr = 0.01, deadline_s = 100 }}'
    privacy = f'[privacy]\nprofile = "{profile}"\n{_PRIVACY[profile]}'
    return f"{_HEAD}{SMALL}sites = [{sites}]\nserver = {server}\n\n{privacy}"


def _site(name: str, profile: str) -> str:
    weight = ", weight = 2.0" if name == "birch" and profile != "robust" else ""
    return f'{{ name = "{name}", patients = 500{weight} }}'


def limits_of(profile: str) -> str:
    """Return what a hospital's rules have to say for the study to be allowed."""
    return f"\n[limits]\n{_LIMITS[profile]}"
