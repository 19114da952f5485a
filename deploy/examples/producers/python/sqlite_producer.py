"""sqlite_producer.py FILE ORDER REFERENCE: pays an order; its event is written with it, or neither is."""

import json, sqlite3, sys, uuid
from datetime import datetime, timezone


def pay(db, order, reference):
    if not db.execute("UPDATE orders SET status = 'paid' WHERE id = ? AND status = 'open'", (order,)).rowcount:
        raise LookupError(f"{order} is not open")
    payload = {"order_id": order, "paid_at": datetime.now(timezone.utc).isoformat()}
    db.execute("INSERT INTO busbridge_outbox (id, name, key, payload) VALUES (?, 'order.paid', ?, ?)",
               (str(uuid.uuid4()), order, json.dumps(payload)))
    db.execute("INSERT INTO payments (reference, order_id) VALUES (?, ?)", (reference, order))


file, order, reference = sys.argv[1:]
db = sqlite3.connect(file, timeout=10, isolation_level=None)  # None: BEGIN is ours to say
db.execute("BEGIN IMMEDIATE")  # a plain BEGIN fails at the first write where another writer was quicker
try:
    pay(db, order, reference)
    db.execute("COMMIT")
except BaseException:
    if db.in_transaction:
        db.execute("ROLLBACK")  # the event goes with it
    raise
