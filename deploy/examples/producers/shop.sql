-- What the examples change: an order is paid, and the payment is booked under a reference that serves once.
CREATE TABLE orders (id text PRIMARY KEY, status text NOT NULL DEFAULT 'open');
CREATE TABLE payments (reference text PRIMARY KEY, order_id text NOT NULL REFERENCES orders (id));
