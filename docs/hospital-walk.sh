#!/usr/bin/env bash
# The walk of docs/hospital.md: four hospitals, a folder each, from their tables to their audit logs.
# bash docs/hospital-walk.sh DATA OUT: DATA holds processed.*.data of UCI Heart Disease (1988, public).
set -euo pipefail
data=$(realpath "$1") out=$2
mkdir "$out" && cd "$out"

cat > study.toml <<'END'
schema = 1
name = "heart"
purpose = "Who of the patients sent to angiography has a narrowed vessel"
features = [
  { name = "age", unit = "years", usual = [35, 75], plausible = [18, 100] },
  { name = "sex", kind = "category", categories = ["F", "M"] },
  { name = "trestbps", unit = "mmHg", usual = [100, 170], plausible = [60, 260] },
  { name = "chol", unit = "mg/dL", usual = [150, 350], plausible = [80, 700] },
  { name = "thalach", unit = "1/min", usual = [90, 190], plausible = [40, 230] },
  { name = "exang", kind = "binary" },
  { name = "oldpeak", unit = "mm", usual = [0, 4], plausible = [-5, 10] },
]
tasks = [{ name = "narrowed", column = "num", positive = [1, 2, 3, 4], prevalence = [0.2, 0.8] }]
sites = [
  { name = "cleveland", patients = 300 }, { name = "hungarian", patients = 290 },
  { name = "switzerland", patients = 120 }, { name = "va", patients = 200 },
]
model = { hidden = 8 }
algorithm = { name = "fomaml", inner_steps = 3 }
episodes = { support = 5, query = 5 }
server = { rounds = 3, optimizer = "sgd", meta_lr = 0.5, deadline_s = 60 }
privacy = { profile = "masked", clip_norm = 0.5, noise_multiplier = 6.0, coin = 1.0 }
END

say() { printf '\n$ %s\n' "$*"; "$@" || echo "exit code $?"; }

say wardround coordinator sign study.toml --key coordinator.key
key=$(wardround coordinator sign study.toml --key coordinator.key | sed -n 's/Signed by //p')
id=$(wardround coordinator sign study.toml --key coordinator.key | sed -n 's/.*id //p')

for site in cleveland hungarian switzerland va; do
  echo && echo "== $site" && mkdir "$site" && cd "$site"
  echo id,age,sex,cp,trestbps,chol,fbs,restecg,thalach,exang,oldpeak,slope,ca,thal,num > visits.csv
  awk -v site=$site '{ print site NR "," $0 }' "$data/processed.$site.data" >> visits.csv
  cp ../study.toml ../study.toml.sig .
  say wardround node map --site $site --path visits.csv
  say wardround node check
  # What the engineer corrects by hand in site.toml: whose studies are believed, what 0 and 1 mean,
  # and limits that this small public study needs.
  sed -i "s/^# key = \"\"/key = \"$key\"/; s/^min_cohort = 5/min_cohort = 4/
    s/^max_epsilon = 8.0/max_epsilon = 20.0/
    s/^local = \"sex\"/local = \"sex\"\nvalues = { \"0\" = \"F\", \"1\" = \"M\" }/" site.toml
  say wardround node check --html check.html
  say wardround node budget --open 30 --cohort 1988
  say wardround node budget --study study.toml
  say wardround node approve study.toml --cohort 1988 --yes "$id"
  say wardround node dry-run --output dry-run
  say wardround node doctor --offline
  say wardround node audit
  cd ..
done

# The same check over an OMOP CDM 5.4 export and over FHIR R4 bundles (synthetic patients, Synthea).
[ -d "$data/../synthea27_omop" ] || exit 0
mkdir omop fhir
cat > samples.toml <<'END'
schema = 1
name = "samples"
purpose = "To try the OMOP and FHIR sources"
columns = { patient = "person_id" }
features = [
  { name = "age", unit = "years", usual = [20, 80] },
  { name = "sex", kind = "category", categories = ["F", "M"] },
  { name = "sbp", unit = "mmHg", usual = [100, 160], plausible = [60, 260] },
  { name = "weight", unit = "kg", usual = [45, 110], plausible = [20, 300] },
]
tasks = [{ name = "sinusitis", column = "sinusitis" }]
END
cat > omop/site.toml <<END
schema = 1
site = "omop"
source = { kind = "omop", path = "$data/../synthea27_omop/Synthea27Nj_5.4.zip", cohort = { index = "2015-01-01", lookback = 1825, outcome = 1825, washout = false }, features = [
  { name = "sbp", concepts = [3004249] }, { name = "weight", concepts = [3025315] },
], labels = [{ name = "sinusitis", concepts = [40481087, 257012, 4283893] }] }
END
cat > fhir/site.toml <<END
schema = 1
site = "fhir"
source = { kind = "fhir", path = "$data/../fhir_synthea_r4", cohort = { index = "2014-01-01", lookback = 3650, outcome = 1825, washout = false }, features = [
  { name = "sbp", concepts = ["http://loinc.org|8480-6"] },
  { name = "weight", concepts = ["http://loinc.org|29463-7"] },
], labels = [{ name = "sinusitis", concepts = ["http://snomed.info/sct|444814009", "http://snomed.info/sct|40055000"] }] }
END
for kind in omop fhir; do
  echo && echo "== $kind" && say wardround node map --folder $kind --study samples.toml
  say wardround node check --folder $kind --study samples.toml
done
