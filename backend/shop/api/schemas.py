"""What JSON Schema says of rows, bodies and refusals.

What has a name goes into `schemas`, which is components.schemas of the OpenAPI document, and is a $ref from
then on.
"""

from collections.abc import Iterable, Mapping
from inspect import cleandoc
from typing import Any, cast

from django import forms
from django.db import DEFAULT_DB_ALIAS, models
from django.db.models import QuerySet, Value
from django.db.models.expressions import Col
from django.db.models.sql import Query
from django.db.models.sql.constants import LOUTER

from shop.api.fields import JsonField, JsonForm
from shop.database.refusal import Refusal
from shop.database.statements import JsonArray, JsonObject, Row

type Schema = dict[str, Any]

STRING: Schema = {"type": "string"}
MONEY: Schema = {"type": "string", "pattern": r"^[0-9]+\.[0-9]{2}$"}


def reference(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def named(name: str, schema: Schema, schemas: dict[str, Schema]) -> Schema:
    """Keep a schema under a name, which no other one may have, and return what refers to it."""
    if schemas.setdefault(name, schema) != schema:
        message = f"{name} is the name of two schemas"
        raise LookupError(message)
    return reference(name)


def object_of(members: Mapping[str, Schema], required: Iterable[str] | None = None) -> Schema:
    """Return the schema of an object with these members alone, all of them unless `required` says which."""
    return {
        "type": "object",
        "properties": dict(members),
        "required": list(members if required is None else required),
        "additionalProperties": False,
    }


def array_of(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def row_schema(queryset: QuerySet[Any], row: Mapping[str, Any], schemas: dict[str, Schema]) -> Schema:
    """Return what a row of a QuerySet is; `row` has its columns by their JSON keys."""
    return query_schema(queryset.values_list(*row.values()).query, row, schemas)


def query_schema(query: Query, row: Mapping[str, Any], schemas: dict[str, Schema]) -> Schema:
    """Return what a row of a query is, whose columns are in the order of `row`."""
    compiler = query.get_compiler(DEFAULT_DB_ALIAS)
    compiler.setup_query()
    members = {
        name: value_schema(expression, query, schemas)
        for name, (expression, *_) in zip(row, compiler.select, strict=True)
    }
    schema = object_of(members)
    return named(row.name, schema, schemas) if isinstance(row, Row) else schema


def value_schema(expression: Any, query: Query, schemas: dict[str, Schema]) -> Schema:
    """Return what a column or annotation is in JSON."""
    match expression:
        case JsonObject(may_be_null=may_be_null):
            inner = query_schema(expression.query, expression.row, schemas)
            return {"anyOf": [inner, {"type": "null"}]} if may_be_null else inner
        case JsonArray():
            return array_of(query_schema(expression.query, expression.row, schemas))
        case Value(value=None):
            return {"type": "null"}
        case Col(target=target, alias=alias):
            schema = column_schema(target)
            is_outer = query.alias_map[alias].join_type == LOUTER
            return schema | {"type": [schema["type"], "null"]} if target.null or is_outer else schema
    return column_schema(expression.output_field)


def column_schema(field: Any) -> Schema:
    """Return what a value of a model's field is in JSON."""
    match field:
        case models.ForeignKey():
            return column_schema(field.target_field)
        case models.DecimalField():
            return MONEY
        case models.IntegerField():
            return {"type": "integer"}
        case models.BooleanField():
            return {"type": "boolean"}
        case models.DateTimeField():
            return {"type": "string", "format": "date-time"}
        case models.DateField():
            return {"type": "string", "format": "date"}
        case models.EmailField():
            return {"type": "string", "format": "email"}
        case models.CharField(choices=choices) if choices:
            return {"type": "string", "enum": [str(value) for value, _ in field.flatchoices]}
        case models.CharField() | models.TextField():
            return {"type": "string"}
    message = f"what {field!r} is in JSON is not known"
    raise TypeError(message)


def form_schema(form: type[forms.Form], schemas: dict[str, Schema]) -> Schema:
    """Return what a body is; the form's own `schema` has what its clean() adds to the fields."""
    members, required = {}, []
    for name, field in form.base_fields.items():
        if isinstance(field, JsonForm):
            members[name] = form_schema(field.form, schemas)
        else:
            members[name] = cast(JsonField, field).schema
        if field.required:
            required.append(name)
    schema = object_of(members, required) | getattr(form, "schema", {})
    if form.__doc__:
        schema["description"] = cleandoc(form.__doc__)
    return named(form.__name__, schema, schemas)


def refusal_schema(refusal: type[Refusal], schemas: dict[str, Schema]) -> Schema:
    """Return what the error is that tells of a refusal with a code."""
    members = {name: member_schema(kind) for name, kind in refusal.members.items()}
    schema = object_of({"error": STRING, "code": STRING | {"const": refusal.code}, **members})
    schema["description"] = cleandoc(refusal.__doc__ or "")
    return named(refusal.__name__.removesuffix("Error"), schema, schemas)


def member_schema(kind: Any) -> Schema:
    """Return what a member of a refusal is, from what Refusal.members says of it."""
    match kind:
        case Row():
            return reference(kind.name)
        case [item]:
            return array_of(member_schema(item))
        case dict() if str in kind:  # whatever their names
            return {"type": "object", "additionalProperties": member_schema(kind[str])}
        case dict():
            return object_of({name: member_schema(member) for name, member in kind.items()})
    return column_schema(kind)


def samples(members: Mapping[str, Any], schemas: Mapping[str, Schema]) -> dict[str, Any]:
    """Return what might be the details of a refusal with these members."""
    return {name: sample(member_schema(kind), schemas) for name, kind in members.items()}


def sample(schema: Schema, schemas: Mapping[str, Schema]) -> Any:
    """Return a value that is valid by a schema of this module."""
    if "$ref" in schema:
        return sample(schemas[schema["$ref"].rpartition("/")[2]], schemas)
    match schema:
        case {"const": value} | {"enum": [value, *_]}:
            return value
        case {"type": "array", "items": items}:
            return [sample(items, schemas)]
        case {"properties": members}:
            return {name: sample(member, schemas) for name, member in members.items()}
        case {"additionalProperties": member}:
            return {"…": sample(member, schemas)}
        case {"type": "integer"}:
            return 1
        case _ if schema == MONEY:
            return "9.99"
    return "…"
