"""postgres_producer.py postgresql://... ORDER REFERENCE: pays an order; its event is written with it, or neither is. Needs: pip install psycopg"""

import json, sys, uuid
from datetime import datetime, timezone

import psycopg


def pay(db, order, reference):
    # First the row that the event is about: whoever else pays this order waits here, so events are numbered in the order of the changes.
    if not db.execute("UPDATE orders SET status = 'paid' WHERE id = %s AND status = 'open'", (order,)).rowcount:
        raise LookupError(f"{order} is not open")
    payload = {"order_id": order, "paid_at": datetime.now(timezone.utc).isoformat()}
    db.execute("INSERT INTO busbridge.outbox (id, name, key, payload) VALUES (%s, 'order.paid', %s, %s)",
               (str(uuid.uuid4()), order, json.dumps(payload)))
    db.execute("INSERT INTO payments (reference, order_id) VALUES (%s, %s)", (reference, order))


url, order, reference = sys.argv[1:]
with psycopg.connect(url) as db:  # commits at its end, rolls back where an error leaves it: the event goes with it
    pay(db, order, reference)
