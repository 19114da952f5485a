// Producer FACTORY CONNECTION ORDER REFERENCE: pays an order; its event is written with it, or neither is.
// FACTORY: "Npgsql.NpgsqlFactory, Npgsql" or "Microsoft.Data.Sqlite.SqliteFactory, Microsoft.Data.Sqlite"; any of ADO.NET will do.

using System;
using System.Data.Common;

static class Producer {
  static int Run(DbTransaction transaction, string sql, params string[] values) {
    using (var command = transaction.Connection.CreateCommand()) {
      command.Transaction = transaction;
      command.CommandText = sql;
      for (int i = 0; i < values.Length; i += 2) {
        var parameter = command.CreateParameter();
        parameter.ParameterName = values[i];
        parameter.Value = values[i + 1];
        command.Parameters.Add(parameter);
      }
      return command.ExecuteNonQuery();
    }
  }

  static void Pay(DbTransaction transaction, bool sqlite, string order, string reference) {
    // First the row that the event is about: whoever else pays this order waits here, so events are numbered in the order of the changes.
    if (Run(transaction, "UPDATE orders SET status = 'paid' WHERE id = @order AND status = 'open'", "@order", order) == 0)
      throw new InvalidOperationException(order + " is not open");
    string outbox = sqlite ? "busbridge_outbox" : "busbridge.outbox", build = sqlite ? "json_object" : "json_build_object";
    Run(transaction, "INSERT INTO " + outbox + " (id, name, key, payload) VALUES (@id, 'order.paid', @order, "
                     + build + "('order_id', CAST(@order AS text), 'paid_at', CAST(@now AS text)))",
        "@id", Guid.NewGuid().ToString(), "@order", order, "@now", DateTime.UtcNow.ToString("o"));
    Run(transaction, "INSERT INTO payments (reference, order_id) VALUES (@reference, @order)", "@reference", reference, "@order", order);
  }

  static void Main(string[] words) {
    var factory = (DbProviderFactory)Type.GetType(words[0], true).GetField("Instance").GetValue(null);
    using (var db = factory.CreateConnection()) {
      db.ConnectionString = words[1];
      db.Open();
      using (var transaction = db.BeginTransaction()) { // with SQLite: BEGIN IMMEDIATE
        Pay(transaction, words[0].Contains("Sqlite"), words[2], words[3]);
        transaction.Commit();
      } // an exception on the way here rolls back: the event goes with it
    }
  }
}
