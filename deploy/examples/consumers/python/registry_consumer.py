"""registry_consumer.py BOOTSTRAP TOPIC REGISTRY: the events of a topic, one JSON object a line, their schemas from a registry.
Needs: pip install 'confluent-kafka[avro,schemaregistry]'"""

import json, sys
import confluent_kafka
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer
from confluent_kafka.serialization import MessageField, SerializationContext

bootstrap, topic, registry = sys.argv[1:]
decode = AvroDeserializer(SchemaRegistryClient({"url": registry}))
consumer = confluent_kafka.Consumer({"bootstrap.servers": bootstrap, "group.id": "example-registry",
                                     "isolation.level": "read_committed", "auto.offset.reset": "earliest"})
consumer.subscribe([topic])
while True:
    record = consumer.poll(1)
    if record is None or record.error():
        continue
    event = decode(record.value(), SerializationContext(topic, MessageField.VALUE, record.headers()))
    headers = dict(record.headers())
    print(json.dumps({"id": headers["ce_id"].decode(), "type": headers["ce_type"].decode(),
                      "key": record.key().decode(), "event": event}, default=str), flush=True)
