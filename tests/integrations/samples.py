"""Values built from the schemas of an OpenAPI document, for answers that have no example of their own."""

from typing import Any

_TEXTS = {"date-time": "2026-01-01T00:00:00Z", "email": "someone@example.com", "uri": "https://example.com/"}
_PLAIN = {"integer": 1, "number": 1, "boolean": True, "null": None}
_ALL_FIELDS_TO_DEPTH = 1


def followed(document: dict[str, Any], node: dict[str, Any]) -> dict[str, Any]:
    """A node of the document, or the one that its $ref names."""
    while "$ref" in node:
        target: Any = document
        for part in node["$ref"].removeprefix("#/").split("/"):
            target = target[part.replace("~1", "/").replace("~0", "~")]
        node = target
    return node


def sample_of(document: dict[str, Any], schema: dict[str, Any], depth: int = 0) -> Any:
    """A value that the schema allows: its own example where there is one; deep down required fields only."""
    schema = followed(document, schema)
    for key in ("example", "const", "default"):
        if key in schema:
            return schema[key]
    for key in ("examples", "enum"):
        if schema.get(key):
            return schema[key][0]
    if "allOf" in schema:
        return _merged([sample_of(document, part, depth) for part in schema["allOf"]])
    for key in ("oneOf", "anyOf"):
        if key in schema:
            chosen = next((part for part in schema[key] if part.get("type") != "null"), schema[key][0])
            return sample_of(document, chosen, depth)
    return _of_type(document, schema, depth)


def _merged(parts: list[Any]) -> Any:
    if all(isinstance(part, dict) for part in parts):
        return {name: value for part in parts for name, value in part.items()}
    return parts[0]


def _of_type(document: dict[str, Any], schema: dict[str, Any], depth: int) -> Any:
    kind = schema.get("type") or ("object" if "properties" in schema else "string")
    if isinstance(kind, list):
        kind = next((each for each in kind if each != "null"), "null")
    if kind == "object":
        properties: dict[str, Any] = schema.get("properties", {})
        wanted = properties if depth <= _ALL_FIELDS_TO_DEPTH else schema.get("required", ())
        return {name: sample_of(document, each, depth + 1) for name, each in properties.items() if name in wanted}
    if kind == "array":
        return [sample_of(document, schema["items"], depth + 1)] if schema.get("minItems") and "items" in schema else []
    if kind == "string":
        return _TEXTS.get(schema.get("format", ""), "1")
    return _PLAIN.get(kind)
