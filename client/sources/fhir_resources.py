"""The parts of FHIR R4 resources that are read, with their types; the rest is passed over.

A resource whose parts have other types than R4 gives them is refused: R5, for example, has a list
where R4 has one `class` of an Encounter. fhir.resources would check all of a resource, 40 times
slower (docs/decisions/0016-sources.md).

Reference: HL7 FHIR R4, https://hl7.org/fhir/R4/resourcelist.html.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

UCUM = "http://unitsofmeasure.org"


class _Element(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, extra="ignore", frozen=True)


class Coding(_Element):
    """A code of a code system."""

    system: str = ""
    code: str = ""

    def spelt(self) -> str:
        """Return it as site.toml writes it."""
        return f"{self.system}|{self.code}"


class CodeableConcept(_Element):
    """One meaning, in as many code systems as the hospital likes."""

    coding: tuple[Coding, ...] = ()


class Quantity(_Element):
    """A number and its unit. A comparator such as < is passed over: the bound is the value."""

    value: float | None = None
    unit: str = ""
    system: str = ""
    code: str = ""

    def units(self) -> tuple[str, str]:
        """Return the code of UCUM, "" if there is none, and the unit as it is written."""
        return self.code if self.system == UCUM else "", self.unit or self.code


class Reference(_Element):
    """A pointer to another resource."""

    reference: str = ""


class Period(_Element):
    """From a date to a date; either may be open."""

    start: str = ""
    end: str = ""


class Patient(_Element):
    """A person."""

    resource_type: Literal["Patient"]
    id: str = ""
    gender: str = ""
    birth_date: str = ""
    deceased_date_time: str = ""


class Component(_Element):
    """A part of an observation, such as one of the two blood pressures."""

    code: CodeableConcept
    value_quantity: Quantity | None = None


class Observation(_Element):
    """A measurement, or a panel of several."""

    resource_type: Literal["Observation"]
    id: str = ""
    status: str
    code: CodeableConcept
    subject: Reference = Reference()
    effective_date_time: str = ""
    effective_instant: str = ""
    effective_period: Period = Period()
    issued: str = ""
    value_quantity: Quantity | None = None
    component: tuple[Component, ...] = ()


class Condition(_Element):
    """A diagnosis."""

    resource_type: Literal["Condition"]
    id: str = ""
    verification_status: CodeableConcept | None = None
    code: CodeableConcept = CodeableConcept()
    subject: Reference
    onset_date_time: str = ""
    onset_period: Period = Period()
    recorded_date: str = ""


class Encounter(_Element):
    """A visit."""

    resource_type: Literal["Encounter"]
    id: str = ""
    status: str
    kind: Coding = Field(alias="class")
    type: tuple[CodeableConcept, ...] = ()
    subject: Reference = Reference()
    period: Period = Period()


Resource = Annotated[
    Patient | Observation | Condition | Encounter, Field(discriminator="resource_type")
]
READ = ("Patient", "Observation", "Condition", "Encounter")
