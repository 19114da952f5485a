"""Random schemas, what may become of them, and values that fit them: as Python's libraries of Avro take a value, and as an event has it."""

import base64
import datetime
import decimal
import json
import uuid

PRIMITIVES = "null boolean int long float double bytes string".split()
LOGICAL = [("bytes", "decimal"), ("string", "uuid"), ("int", "date"), ("int", "time-millis"), ("long", "time-micros"), ("long", "timestamp-millis"),
           ("long", "timestamp-micros"), ("long", "local-timestamp-millis"), ("long", "local-timestamp-micros")]
EPOCH = datetime.datetime(1970, 1, 1)
WIDER = {"int": ["long", "float", "double"], "long": ["float", "double"], "float": ["double"], "string": ["bytes"], "bytes": ["string"]}


class Shapes:
    """by: a random.Random. readable: only what an event's JSON reaches, each branch of a union by values of its own kind.
    texts: bytes that are texts too."""

    def __init__(self, by, readable, texts=False):
        self.by, self.readable, self.texts, self.count, self.made = by, readable, texts, 0, {}

    # ---- schemas

    def schema(self, depth, open_records=(), in_union=False):
        kinds = PRIMITIVES * 2 + ["logical", "logical"]
        if depth:
            kinds += ["array", "map", "record", "record", "enum", "fixed", "known", "known"] + ([] if in_union else ["union", "union"])
        kind = self.by.choice(kinds)
        if kind in PRIMITIVES:
            return kind
        if kind == "logical":
            return self.logical()
        if kind == "array":
            return {"type": "array", "items": self.schema(depth - 1)}
        if kind == "map":
            return {"type": "map", "values": self.schema(depth - 1)}
        if kind == "union":
            return self.union(depth)
        if kind == "known":
            return self.by.choice(sorted(self.made)) if self.made else "string"
        return self.named(kind, depth)

    def logical(self):
        kind, logical = self.by.choice(LOGICAL)
        if logical != "decimal":
            return {"type": kind, "logicalType": logical}
        precision = self.by.randint(1, 20)
        return {"type": kind, "logicalType": logical, "precision": precision, "scale": self.by.randint(0, precision)}

    def named(self, kind, depth):
        self.count += 1
        name = f"{self.by.choice(['', '', 'a.b.'])}N{self.count}"
        full = {"type": kind, "name": name}
        if "." not in name:
            full["namespace"] = "n.s"  # one without, inside one that has, is another name for each reader
            name = f"n.s.{name}"
        if kind == "enum":
            full["symbols"] = self.by.sample("ABCDE", self.by.randint(1, 5))
            if self.by.random() < 0.4:
                full["default"] = self.by.choice(full["symbols"])
        elif kind == "fixed":
            full["size"] = self.by.randint(1, 20)
        else:
            full["fields"] = [{"name": field, "type": self.schema(depth - 1)} for field in "abcde"[:self.by.randint(1, 5)]]
            if self.by.random() < 0.3:
                full["fields"].append({"name": "next", "type": ["null", name], "default": None})
        self.made[name] = full
        return full

    def union(self, depth):
        branches, kinds = [], set()
        for _ in range(self.by.randint(1, 5)):
            made = dict(self.made)
            branch = self.schema(depth - 1, in_union=True)
            kind = self.family(branch) if self.readable else self.word(branch)
            if kind not in kinds and not (self.readable and self.full(branch).get("logicalType")):
                kinds.add(kind)
                branches.append(branch)
            else:
                self.made = made  # what it defines is not there
        return branches or ["null", "string"]

    def full(self, schema):
        schema = self.made.get(schema, schema) if isinstance(schema, str) else schema
        return {"type": schema} if isinstance(schema, str) else schema

    def word(self, schema):
        full = self.full(schema)
        return full["name"] if "name" in full else full["type"]

    def family(self, schema):
        """Two branches of one family could take the same JSON."""
        kind = self.full(schema)["type"]
        return {"int": "number", "long": "number", "float": "number", "double": "number", "bytes": "text", "string": "text", "fixed": "text",
                "enum": "text", "map": "object", "record": "object"}.get(kind, kind)

    # ---- what becomes of one

    def changed(self, schema, names):
        """As its next version might be. names: old full names to new ones."""
        if isinstance(schema, str):
            if schema in self.made or self.by.random() < 0.7:
                return schema
            return self.by.choice(WIDER.get(schema, PRIMITIVES) + [schema if schema == "null" else ["null", schema]])
        if isinstance(schema, list):
            return self.changed_union(schema, names)
        schema = dict(schema)
        for part in ("items", "values"):
            if part in schema:
                schema[part] = self.changed(schema[part], names)
        if "symbols" in schema and self.by.random() < 0.4:
            schema["symbols"] = self.by.sample("ABCDE", self.by.randint(1, 5))
            schema.pop("default", None)
            if self.by.random() < 0.4:
                schema["default"] = self.by.choice(schema["symbols"])
        if "size" in schema and self.by.random() < 0.2:
            schema["size"] += 1
        if "fields" in schema:
            schema["fields"] = self.changed_fields(schema["fields"], names)
        if "name" in schema and self.by.random() < 0.08:
            old = schema["name"] if "." in schema["name"] else f"n.s.{schema['name']}"
            schema["name"], schema["aliases"] = f"R{self.count}{schema['name'].split('.')[-1]}", [old]
            schema["namespace"] = "n.s"
            names[old] = f"n.s.{schema['name']}"
        return schema

    def changed_union(self, branches, names):
        changed = [self.changed(branch, names) for branch in branches]
        changed = [new if not isinstance(new, list) else old for new, old in zip(changed, branches)]
        if self.by.random() < 0.2:
            changed.pop(self.by.randrange(len(changed)))
        if self.by.random() < 0.2:
            changed.append(self.by.choice(PRIMITIVES))
        one_each = {}
        for branch in changed:
            one_each.setdefault(self.word(branch), branch)
        return list(one_each.values()) or ["null"]

    def changed_fields(self, fields, names):
        out = []
        for field in fields:
            chance, field = self.by.random(), dict(field)
            if chance < 0.08:
                continue
            if field["name"] != "next":  # its default must stay one of its first branch
                field["type"] = self.changed(field["type"], names)
                if chance < 0.16:
                    field["name"], field["aliases"] = f"z{field['name']}", [field["name"]]
                if field["type"] == "int" and self.by.random() < 0.5:
                    field["default"] = 7
            out.append(field)
        if self.by.random() < 0.2:
            out.append({"name": "new", "type": "int", **({"default": 1} if self.by.random() < 0.5 else {})})
        if self.by.random() < 0.1:
            self.by.shuffle(out)
        return out

    def renamed(self, schema, names):
        if isinstance(schema, str):
            return names.get(schema, schema)
        if isinstance(schema, list):
            return [self.renamed(branch, names) for branch in schema]
        return {key: [{**field, "type": self.renamed(field["type"], names)} for field in part] if key == "fields"
                else self.renamed(part, names) if key in ("items", "values") else part for key, part in schema.items()}

    def pair(self):
        """(reader, writer), as JSON texts."""
        old, names = self.schema(4), {}
        new = self.renamed(self.changed(old, names), names)
        pair = [json.dumps(old), json.dumps(new)]
        self.by.shuffle(pair)
        return pair

    # ---- values

    def value(self, schema, depth=6):
        """(for the libraries, as an event's JSON text, as the JSON that comes back)."""
        if isinstance(schema, list):
            names = [branch for branch in schema if depth > 0 or self.word(branch) == "null"] or schema
            branch = self.by.choice(names)
            value, text, back = self.value(branch, depth - 1)
            return (self.word(branch) if "name" not in self.full(branch) else self.known(branch), value), text, back
        full = self.full(schema)
        if "logicalType" in full:
            return getattr(self, "value_" + full["logicalType"].replace("-", "_"))(full)
        return getattr(self, "value_" + full["type"])(full, depth)

    def known(self, schema):
        return schema if isinstance(schema, str) else schema["name"] if "." in schema["name"] else f"{schema['namespace']}.{schema['name']}"

    def value_null(self, full, depth):
        return None, "null", None

    def value_boolean(self, full, depth):
        value = self.by.random() < 0.5
        return value, json.dumps(value), value

    def whole(self, bits):
        value = self.by.choice([0, 1, -1, 2**(bits - 1) - 1, -2**(bits - 1), self.by.randint(-2**(bits - 1), 2**(bits - 1) - 1), self.by.randint(-99, 99)])
        return value, self.by.choice([f"{value}", f"{value}", f"{value}.0", f"{value * 10}e-1"]), value

    def value_int(self, full, depth):
        return self.whole(32)

    def value_long(self, full, depth):
        return self.whole(64)

    def value_float(self, full, depth):
        value = self.by.choice([0.0, -0.0, 0.5, self.by.randint(-2**20, 2**20) / 1024])  # a float keeps them
        return value, repr(value), value

    def value_double(self, full, depth):
        value = self.by.choice([0.0, -0.0, 1e300, 5e-324, self.by.uniform(-1e6, 1e6)])
        return value, repr(value), value

    def octets(self, count):
        value = self.by.randbytes(count) if not self.texts else bytes(self.by.randrange(128) for _ in range(count))
        text = base64.b64encode(value).decode()
        return value, json.dumps(text), text

    def value_bytes(self, full, depth):
        return self.octets(self.by.randint(0, 9))

    def value_fixed(self, full, depth):
        return self.octets(full["size"])

    def value_string(self, full, depth):
        value = "".join(self.by.choice('ab"\\/\n\x00é雨☔😀') for _ in range(self.by.randint(0, 6)))
        return value, json.dumps(value, ensure_ascii=self.by.random() < 0.5), value

    def value_enum(self, full, depth):
        value = self.by.choice(full["symbols"])
        return value, json.dumps(value), value

    def several(self, schema, depth):
        return [self.value(schema, depth - 1) for _ in range(self.by.randint(0, 3) if depth > 0 else 0)]

    def value_array(self, full, depth):
        all_of = self.several(full["items"], depth)
        return [value for value, _, _ in all_of], f"[{', '.join(text for _, text, _ in all_of)}]", [back for _, _, back in all_of]

    def value_map(self, full, depth):
        all_of = list(zip("klm", self.several(full["values"], depth)))
        return ({key: value for key, (value, _, _) in all_of}, "{" + ", ".join(f'"{key}": {text}' for key, (_, text, _) in all_of) + "}",
                {key: back for key, (_, _, back) in all_of})

    def value_record(self, full, depth):
        fields = [(field["name"], self.value(field["type"], depth - 1), field) for field in full["fields"]]
        back = {name: back for name, (_, _, back), field in fields if not (back is None and "default" in field)}  # absent and null are one there
        self.by.shuffle(fields)
        return {name: value for name, (value, _, _), _ in fields}, "{" + ", ".join(f'"{name}": {text}' for name, (_, text, _), _ in fields) + "}", back

    def value_decimal(self, full):
        scale = full["scale"]
        digits = self.by.choice([0, 1, -1, 128, -128, 127, -129, 10**full["precision"] - 1, self.by.randint(-10**full["precision"], 10**full["precision"])])
        digits = digits if abs(digits) < 10**full["precision"] else 1
        value = decimal.Decimal(digits).scaleb(-scale, decimal.Context(prec=60))
        text = f"{value:f}"
        return value, self.by.choice([text, f'"{text}"']), decimal.Decimal(text)

    def value_uuid(self, full):
        value = uuid.UUID(int=self.by.getrandbits(128))
        return value, json.dumps(str(value)), str(value)

    def counted(self, count, text):
        return self.by.choice([str(count), json.dumps(text)])

    def value_date(self, full):
        days = self.by.randint(-700000, 2900000)
        value = datetime.date(1970, 1, 1) + datetime.timedelta(days=days)
        return value, self.counted(days, value.isoformat()), value.isoformat()

    def time_of_day(self, unit):
        count = self.by.randrange(86400 * unit)
        value = (EPOCH + datetime.timedelta(microseconds=count * 1000000 // unit)).time()
        text = value.isoformat("microseconds")
        return value, self.counted(count, text), text

    def value_time_millis(self, full):
        return self.time_of_day(1000)

    def value_time_micros(self, full):
        return self.time_of_day(1000000)

    def moment(self, unit, zone):
        count = self.by.randint(-6 * 10**10 * unit, 2 * 10**11 * unit)
        value = EPOCH + datetime.timedelta(microseconds=count * 1000000 // unit)
        text = value.isoformat(timespec="microseconds")
        if not zone:
            return value, self.counted(count, text), text
        return value.replace(tzinfo=datetime.timezone.utc), self.counted(count, self.by.choice([text, text + "+00:00", text + "Z"])), text + "+00:00"

    def value_timestamp_millis(self, full):
        return self.moment(1000, True)

    def value_timestamp_micros(self, full):
        return self.moment(1000000, True)

    def value_local_timestamp_millis(self, full):
        return self.moment(1000, False)

    def value_local_timestamp_micros(self, full):
        return self.moment(1000000, False)
