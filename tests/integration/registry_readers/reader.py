"""reader.py BOOTSTRAP URL WAY:TOPIC:COUNT...: the first records of each topic, one JSON object a line, by usual clients and their defaults.
WAY: avro, json (confluent-kafka's deserializers), fastavro (the schema by its id from the registry, by hand), cloudevents."""

import base64
import faulthandler
import io
import json
import sys
import urllib.request
import uuid

import confluent_kafka
import fastavro
from cloudevents.core.bindings.kafka import KafkaMessage, from_binary_event, from_structured_event
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer
from confluent_kafka.schema_registry.json_schema import JSONDeserializer
from confluent_kafka.serialization import MessageField, SerializationContext

bootstrap, url, *ways = sys.argv[1:]
SECONDS = 30  # an answer that does not come by then is asked for again; without it these clients wait for ever
client = SchemaRegistryClient({"url": url, "timeout": SECONDS})
faulthandler.dump_traceback_later(3 * SECONDS)  # where it stands, for whoever ends it


def by_confluent(deserializer):
    return lambda record: deserializer(record.value(), SerializationContext(record.topic(), MessageField.VALUE, record.headers()))


def by_fastavro(record):
    head, value = dict(record.headers()).get("__value_schema_id"), record.value()
    if head is None:
        head, value = value[:5], value[5:]
    assert head[0] == 0 and len(head) == 5, head
    with urllib.request.urlopen(f"{url}/schemas/ids/{int.from_bytes(head[1:], 'big')}", timeout=SECONDS) as answer:
        schema = fastavro.parse_schema(json.loads(json.load(answer)["schema"]))
    rest = io.BytesIO(value)
    event = fastavro.schemaless_reader(rest, schema)
    assert not rest.read(), "bytes behind the record"
    return event


def by_cloudevents(record):
    headers = dict(record.headers())
    read = from_structured_event if headers["content-type"].startswith(b"application/cloudevents") else from_binary_event
    event = read(KafkaMessage(headers=headers, key=record.key(), value=record.value()))
    data = event.get_data()
    return {"id": event.get_id(), "type": event.get_type(), "source": event.get_source(), "time": event.get_time().isoformat(),
            "datacontenttype": event.get_datacontenttype(), "subject": event.get_subject(),
            "data": {"base64": base64.b64encode(data).decode()} if isinstance(data, bytes) else data}


READERS = {"avro": by_confluent(AvroDeserializer(client)), "json": by_confluent(JSONDeserializer(None, schema_registry_client=client)),
           "fastavro": by_fastavro, "cloudevents": by_cloudevents}

for way, topic, count in (words.split(":") for words in ways):
    consumer = confluent_kafka.Consumer({"bootstrap.servers": bootstrap, "group.id": f"reader-{uuid.uuid4()}", "fetch.wait.max.ms": 10,
                                         "isolation.level": "read_committed", "auto.offset.reset": "earliest",
                                         "enable.auto.commit": False})
    while not (partitions := consumer.list_topics(topic, 60).topics[topic].partitions):
        pass
    consumer.assign([confluent_kafka.TopicPartition(topic, p, confluent_kafka.OFFSET_BEGINNING) for p in partitions])
    left = int(count)
    while left:
        record = consumer.poll(1)
        if record is None or record.error():
            print(f"{topic}: {record and record.error()}, {left} to come", file=sys.stderr)
            continue
        left -= 1
        headers = {name: value.decode(errors="replace") for name, value in record.headers()}
        print(json.dumps({"way": way, "topic": topic, "id": headers.get("ce_id"), "event": READERS[way](record)}, default=str), flush=True)
    consumer.close()
