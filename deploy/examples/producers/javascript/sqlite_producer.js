// node sqlite_producer.js FILE ORDER REFERENCE: pays an order; its event is written with it, or neither is.
// Before Node 22.5 it needs: npm install @photostructure/sqlite
const {randomUUID} = require('crypto');
const {DatabaseSync} = process.getBuiltinModule?.('node:sqlite') ?? require('@photostructure/sqlite');

function pay(db, order, reference) {
  if (!db.prepare("UPDATE orders SET status = 'paid' WHERE id = ? AND status = 'open'").run(order).changes)
    throw new Error(`${order} is not open`);
  const payload = {order_id: order, paid_at: new Date().toISOString()};
  db.prepare("INSERT INTO busbridge_outbox (id, name, key, payload) VALUES (?, 'order.paid', ?, ?)")
      .run(randomUUID(), order, JSON.stringify(payload));
  db.prepare('INSERT INTO payments (reference, order_id) VALUES (?, ?)').run(reference, order);
}

const [file, order, reference] = process.argv.slice(2);
const db = new DatabaseSync(file);
db.exec('PRAGMA busy_timeout = 10000');
db.exec('BEGIN IMMEDIATE'); // a plain BEGIN fails at the first write where another writer was quicker
try {
  pay(db, order, reference);
  db.exec('COMMIT');
} catch (error) {
  db.exec('ROLLBACK'); // the event goes with it
  throw error;
} finally {
  db.close();
}
