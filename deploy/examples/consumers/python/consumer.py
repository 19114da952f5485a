"""consumer.py BOOTSTRAP TOPIC SCHEMAS: the events of a topic, one JSON object a line. Needs: pip install confluent-kafka fastavro"""

import io, json, pathlib, sys
import confluent_kafka, fastavro
from fastavro.schema import fingerprint, parse_schema, to_parsing_canonical_form

bootstrap, topic, folder = sys.argv[1:]
parsed = [parse_schema(json.loads(file.read_text())) for file in pathlib.Path(folder).rglob("*.avsc")]
schemas = {bytes.fromhex(fingerprint(to_parsing_canonical_form(s), "CRC-64-AVRO")): s for s in parsed}

consumer = confluent_kafka.Consumer({"bootstrap.servers": bootstrap, "group.id": "example-python",
                                     "isolation.level": "read_committed", "auto.offset.reset": "earliest"})
consumer.subscribe([topic])
while True:
    record = consumer.poll(1)
    if record is None or record.error():
        continue
    headers, value = dict(record.headers()), record.value()
    event = fastavro.schemaless_reader(io.BytesIO(value[10:]), schemas[value[2:10]])  # C3 01, 8 bytes of fingerprint, Avro
    print(json.dumps({"id": headers["ce_id"].decode(), "type": headers["ce_type"].decode(),
                      "key": record.key().decode(), "event": event}, default=str), flush=True)
