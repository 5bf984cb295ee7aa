"""What the models of our CRDs share: naming, and the types that OpenAPI and Go write differently."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema
from pydantic.alias_generators import to_camel

GO_DURATION: Final = r"^([+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h))+$|^[+-]?0$"
POSITIVE_GO_DURATION: Final = r"^\+?(([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h))+$|^\+?0$"
_QUANTITY: Final = r"^[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)(([KMGTPE]i)|[numkMGTPE]|([eE][+-]?[0-9]+))?$"


class WireModel(BaseModel):
    """camelCase on the wire; unknown fields are ignored, as the API server prunes them."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="ignore")


def rules(*validations: Rule) -> dict[str, Any]:
    """``json_schema_extra`` that carries CEL rules."""
    return {"x-kubernetes-validations": [validation.document() for validation in validations]}


@dataclass(frozen=True, slots=True)
class Rule:
    """One CEL rule; ``field`` is the field that an error is reported on."""

    rule: str
    message: str
    field: str = ""

    def document(self) -> dict[str, str]:
        """The wire form."""
        path = {"fieldPath": f".{self.field}"} if self.field else {}
        return {"rule": self.rule, "message": self.message, **path}


Duration = Annotated[str, Field(pattern=GO_DURATION)]
"""A Go duration such as 1h30m."""
PositiveDuration = Annotated[str, Field(pattern=POSITIVE_GO_DURATION)]
Time = Annotated[str, WithJsonSchema({"type": "string", "format": "date-time"})]
Quantity = Annotated[
    int | str,
    WithJsonSchema(
        {
            "anyOf": [{"type": "integer"}, {"type": "string"}],
            "pattern": _QUANTITY,
            "x-kubernetes-int-or-string": True,
        }
    ),
]
ResourceList = dict[str, Quantity]
Int32 = Annotated[int, WithJsonSchema({"type": "integer", "format": "int32"})]
Int64 = Annotated[int, WithJsonSchema({"type": "integer", "format": "int64"})]
Count = Annotated[int, Field(ge=0), WithJsonSchema({"type": "integer", "format": "int32", "minimum": 0})]
Count64 = Annotated[int, Field(ge=0), WithJsonSchema({"type": "integer", "format": "int64", "minimum": 0})]
NullableCount = Annotated[
    int | None,
    Field(ge=0),
    WithJsonSchema({"type": "integer", "format": "int32", "minimum": 0, "nullable": True}),
]


class Condition(WireModel):
    """metav1.Condition."""

    type: str = Field(description="Type of the condition in CamelCase.")
    status: str = Field(description="True, False or Unknown.")
    observed_generation: Int64 | None = Field(
        default=None, description="Generation of the object it speaks of."
    )
    last_transition_time: Time | None = Field(default=None, description="When the status last changed.")
    reason: str | None = Field(default=None, description="Why, in one CamelCase word.")
    message: str | None = Field(default=None, description="Why, for a person.")
