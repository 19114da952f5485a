// java -cp 'jars/*' Producer.java JDBC-URL ORDER REFERENCE: pays an order; its event is written with it, or neither is.
// jdbc:sqlite:FILE or jdbc:postgresql://...

import java.sql.*;
import java.time.Instant;
import java.util.Properties;
import java.util.UUID;

class Producer {
  final boolean sqlite;
  final Connection db;

  Producer(String url) throws SQLException {
    sqlite = url.startsWith("jdbc:sqlite:");
    Properties more = new Properties();
    if (sqlite) { // a plain BEGIN fails at the first write where another writer was quicker
      more.put("transaction_mode", "IMMEDIATE");
      more.put("busy_timeout", "10000");
    }
    db = DriverManager.getConnection(url, more);
    db.setAutoCommit(false);
  }

  int run(String sql, String... values) throws SQLException {
    try (PreparedStatement statement = db.prepareStatement(sql)) {
      for (int i = 0; i < values.length; i++) statement.setString(i + 1, values[i]);
      return statement.executeUpdate();
    }
  }

  void pay(String order, String reference) throws SQLException {
    // First the row that the event is about: whoever else pays this order waits here, so events are numbered in the order of the changes.
    if (run("UPDATE orders SET status = 'paid' WHERE id = ? AND status = 'open'", order) == 0)
      throw new SQLException(order + " is not open");
    String payload = "%s('order_id', CAST(? AS text), 'paid_at', CAST(? AS text))".formatted(sqlite ? "json_object" : "json_build_object");
    run("INSERT INTO %s (id, name, key, payload) VALUES (?, 'order.paid', ?, %s)"
            .formatted(sqlite ? "busbridge_outbox" : "busbridge.outbox", payload),
        UUID.randomUUID().toString(), order, order, Instant.now().toString());
    run("INSERT INTO payments (reference, order_id) VALUES (?, ?)", reference, order);
  }

  public static void main(String[] words) throws SQLException {
    Producer producer = new Producer(words[0]);
    try (producer.db) {
      try {
        producer.pay(words[1], words[2]);
        producer.db.commit();
      } catch (SQLException | RuntimeException e) {
        producer.db.rollback(); // the event goes with it
        throw e;
      }
    }
  }
}
