// node postgres_producer.js postgresql://... ORDER REFERENCE: pays an order; its event is written with it, or neither is.
// Needs: npm install pg
const {randomUUID} = require('crypto');
const {Client} = require('pg');

async function pay(db, order, reference) {
  // First the row that the event is about: whoever else pays this order waits here, so events are numbered in the order of the changes.
  if (!(await db.query("UPDATE orders SET status = 'paid' WHERE id = $1 AND status = 'open'", [order])).rowCount)
    throw new Error(`${order} is not open`);
  const payload = {order_id: order, paid_at: new Date().toISOString()};
  await db.query("INSERT INTO busbridge.outbox (id, name, key, payload) VALUES ($1, 'order.paid', $2, $3)",
                 [randomUUID(), order, JSON.stringify(payload)]);
  await db.query('INSERT INTO payments (reference, order_id) VALUES ($1, $2)', [reference, order]);
}

async function main(url, order, reference) {
  const db = new Client({connectionString: url}); // of a pool: one client from BEGIN to COMMIT, never pool.query()
  await db.connect();
  try {
    await db.query('BEGIN');
    await pay(db, order, reference);
    await db.query('COMMIT');
  } catch (error) {
    await db.query('ROLLBACK'); // the event goes with it
    throw error;
  } finally {
    await db.end();
  }
}

main(...process.argv.slice(2));
