// node consumer.js BOOTSTRAP TOPIC SCHEMAS: the events of a topic, one JSON object a line. Needs: npm install kafkajs avsc
const fs = require('fs'), path = require('path'), avro = require('avsc'), {Kafka, logLevel} = require('kafkajs');
const [bootstrap, topic, folder] = process.argv.slice(2);

function fingerprint(text) { // CRC-64-AVRO of a canonical form, as hex in the order of the wire
  let f = 0xc15d213aa4d7a795n;
  for (const byte of Buffer.from(text)) {
    f ^= BigInt(byte);
    for (let i = 0; i < 8; i++) f = (f >> 1n) ^ (0xc15d213aa4d7a795n & -(f & 1n));
  }
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt.asUintN(64, f));
  return bytes.toString('hex');
}

const long = avro.types.LongType.__with({ // a long has 64 bits, a number of JavaScript 53
  fromBuffer: (bytes) => { const n = bytes.readBigInt64LE(); return Number.isSafeInteger(Number(n)) ? Number(n) : n; },
  toBuffer: (n) => { const bytes = Buffer.alloc(8); bytes.writeBigInt64LE(BigInt(n)); return bytes; },
  fromJSON: BigInt, toJSON: Number, isValid: (n) => typeof n === 'bigint' || Number.isSafeInteger(n),
  compare: (a, b) => (a === b ? 0 : a < b ? -1 : 1),
});

const types = new Map(fs.readdirSync(folder, {recursive: true}).filter((name) => name.endsWith('.avsc')).map((name) => {
  const type = avro.Type.forSchema(JSON.parse(fs.readFileSync(path.join(folder, name), 'utf8')), {registry: {long}});
  return [fingerprint(JSON.stringify(type.schema())), type];
}));

// kafkajs reads committed records only, unless it is told otherwise.
const consumer = new Kafka({brokers: [bootstrap], logLevel: logLevel.ERROR}).consumer({groupId: 'example-javascript'});
consumer.connect().then(() => consumer.subscribe({topic, fromBeginning: true})).then(() => consumer.run({
  eachMessage: async ({message}) => {
    const type = types.get(message.value.subarray(2, 10).toString('hex')); // C3 01, 8 bytes of fingerprint, Avro
    console.log(JSON.stringify({id: `${message.headers.ce_id}`, type: `${message.headers.ce_type}`,
                                key: `${message.key}`, event: type.fromBuffer(message.value.subarray(10))},
                               (_, value) => (typeof value === 'bigint' ? `${value}` : value)));
  },
}));
