"""Where a hospital's patients are read from: files, databases, OMOP, FHIR; one module each."""
