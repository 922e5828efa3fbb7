"""A validator for what conf_schema_write writes of JSON Schema, and a maker of
small documents that a schema accepts. A keyword that it does not know is an
error: nothing of the schema goes unchecked."""

import json
import os
import re

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
CONFIG = os.path.join(ROOT, "config")

ANNOTATIONS = {"$schema", "$defs", "title", "description", "default"}
TYPES = {"object": dict, "array": list, "string": str, "boolean": bool,
         "number": (int, float)}


def load(text):
    """JSON, without duplicate keys."""
    def members(pairs):
        names = [name for name, _ in pairs]
        assert len(set(names)) == len(names), f"a duplicate key in {names}"
        return dict(pairs)
    return json.loads(text, object_pairs_hook=members)


def load_file(name):
    with open(os.path.join(CONFIG, name), encoding="utf-8") as f:
        return load(f.read())


class Schema:
    def __init__(self, root):
        self.root = root

    def resolve(self, schema):
        while "$ref" in schema:
            prefix, name = schema["$ref"].rsplit("/", 1)
            assert prefix == "#/$defs", schema["$ref"]
            schema = self.root["$defs"][name]
        return schema

    def errors(self, value, schema=None, at=""):
        """What is wrong with value, as a list of (pointer, sentence)."""
        schema = self.resolve(self.root if schema is None else schema)
        found = []
        for keyword, argument in schema.items():
            if keyword in ANNOTATIONS:
                continue
            check = getattr(self, "check_" + keyword)
            found += check(value, argument, schema, at)
        return found

    def check_type(self, value, wanted, _, at):
        if wanted == "integer":
            good = (isinstance(value, (int, float)) and value == int(value)
                    and not isinstance(value, bool))
        else:
            good = (isinstance(value, TYPES[wanted]) and
                    (wanted == "boolean" or not isinstance(value, bool)))
        return [] if good else [(at, f"is no {wanted}")]

    def check_enum(self, value, words, _, at):
        return [] if value in words else [(at, f"is none of {words}")]

    def check_const(self, value, wanted, _, at):
        return [] if value == wanted else [(at, f"is not {wanted}")]

    def check_minimum(self, value, limit, _, at):
        bad = isinstance(value, (int, float)) and value < limit
        return [(at, f"is less than {limit}")] if bad else []

    def check_maximum(self, value, limit, _, at):
        bad = isinstance(value, (int, float)) and value > limit
        return [(at, f"is more than {limit}")] if bad else []

    def check_minLength(self, value, limit, _, at):
        bad = isinstance(value, str) and len(value) < limit
        return [(at, "is too short")] if bad else []

    def check_maxLength(self, value, limit, _, at):
        bad = isinstance(value, str) and len(value) > limit
        return [(at, "is too long")] if bad else []

    def check_pattern(self, value, pattern, _, at):
        bad = isinstance(value, str) and not re.search(pattern, value)
        return [(at, f"does not match {pattern}")] if bad else []

    def check_minItems(self, value, limit, _, at):
        bad = isinstance(value, list) and len(value) < limit
        return [(at, "has too few")] if bad else []

    def check_maxItems(self, value, limit, _, at):
        bad = isinstance(value, list) and len(value) > limit
        return [(at, "has too many")] if bad else []

    def check_items(self, value, schema, _, at):
        found = []
        if isinstance(value, list):
            for n, item in enumerate(value):
                found += self.errors(item, schema, f"{at}/{n}")
        return found

    def check_properties(self, value, properties, _, at):
        found = []
        if isinstance(value, dict):
            for name, schema in properties.items():
                if name in value:
                    found += self.errors(value[name], schema, f"{at}/{name}")
        return found

    def check_required(self, value, names, _, at):
        if not isinstance(value, dict):
            return []
        return [(f"{at}/{n}", "is missing") for n in names if n not in value]

    def check_additionalProperties(self, value, allowed, schema, at):
        assert allowed is False
        if not isinstance(value, dict):
            return []
        return [(f"{at}/{n}", "is unknown") for n in value
                if n not in schema["properties"]]

    def check_anyOf(self, value, schemas, _, at):
        return self.alternatives(value, schemas, at, lambda n: n >= 1)

    def check_oneOf(self, value, schemas, _, at):
        return self.alternatives(value, schemas, at, lambda n: n == 1)

    def alternatives(self, value, schemas, at, enough):
        found = [self.errors(value, schema, at) for schema in schemas]
        if enough(found.count([])):
            return []
        # Of a union, the member that "type" names has the say.
        for schema, errors in zip(schemas, found):
            tag = self.resolve(schema).get("properties", {}).get("type", {})
            if isinstance(value, dict) and value.get("type") and \
                    value.get("type") == tag.get("const"):
                return errors
            # Of objects of which one key says what they are, the one of that
            # key has it.
            required = self.resolve(schema).get("required", [])
            if not tag and isinstance(value, dict) and len(required) == 1 and \
                    required[0] in value:
                return errors
        return [(at, "is nothing that is allowed here")]

    def smallest(self, schema):
        """A value that schema accepts, with as little in it as can be."""
        schema = self.resolve(schema)
        if "const" in schema:
            return schema["const"]
        if "default" in schema:
            return schema["default"]
        if "enum" in schema:
            return schema["enum"][0]
        for several in ("anyOf", "oneOf"):
            if several in schema:
                # The last member of a union may need another of it; the
                # one that is smallest does not.
                made = []
                for one in schema[several]:
                    if not self.needs_itself(one, schema):
                        made.append(self.smallest(one))
                return min(made, key=lambda v: len(json.dumps(v)))
        kind = schema.get("type")
        if kind == "object":
            return {name: self.smallest(schema["properties"][name])
                    for name in schema.get("required", [])}
        if kind == "array":
            return [self.smallest(schema["items"])
                    for _ in range(schema.get("minItems", 0))]
        if kind == "integer":
            return schema["minimum"]
        if kind == "boolean":
            return False
        if "pattern" in schema:
            return "600" if "0-7" in schema["pattern"] else "1M"
        return "x"

    def needs_itself(self, schema, union):
        """Is there no such value without another of the union in it?"""
        schema = self.resolve(schema)
        if schema is union:
            return True
        if schema.get("type") == "array":
            return schema.get("minItems", 0) > 0 and \
                self.needs_itself(schema["items"], union)
        return any(self.needs_itself(schema["properties"][name], union)
                   for name in schema.get("required", []))
