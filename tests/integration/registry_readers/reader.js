// reader.js BOOTSTRAP URL WAY:TOPIC:COUNT...: as reader.py, by kafkajs and @confluentinc/schemaregistry. WAY: node (Avro), nodejson.
const {Kafka, logLevel} = require('kafkajs');
const {SchemaRegistryClient, SerdeType, AvroDeserializer, JsonDeserializer} = require('@confluentinc/schemaregistry');
const [bootstrap, url, ...ways] = process.argv.slice(2);

const client = new SchemaRegistryClient({baseURLs: [url]});
const readers = {node: new AvroDeserializer(client, SerdeType.VALUE, {}), nodejson: new JsonDeserializer(client, SerdeType.VALUE, {validate: true})};
const kafka = new Kafka({brokers: [bootstrap], logLevel: logLevel.ERROR});

const wanted = new Map(ways.map((words) => { const [way, topic, count] = words.split(':'); return [topic, {way, left: +count}]; }));
const consumer = kafka.consumer({groupId: `reader-${process.pid}-${Date.now()}`, maxWaitTimeInMs: 50});
const fail = (why) => { console.error(why); process.exit(1); };
consumer.on(consumer.events.CRASH, ({payload}) => fail(payload.error));
consumer.connect().then(() => consumer.subscribe({topics: [...wanted.keys()], fromBeginning: true})).then(() => consumer.run({
  eachMessage: async ({topic, message}) => {
    const one = wanted.get(topic);
    if (one.left-- <= 0) return;
    const event = await readers[one.way].deserialize(topic, message.value, message.headers).catch(fail);
    console.log(JSON.stringify({way: one.way, topic, id: `${message.headers.ce_id}`, event},
                               (_, value) => (typeof value === 'bigint' ? `${value}` : value)));
    if ([...wanted.values()].every(({left}) => left <= 0)) process.exit(0);
  },
})).catch(fail);
