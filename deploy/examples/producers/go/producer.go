// producer DATABASE ORDER REFERENCE: pays an order; its event is written with it, or neither is.
// DATABASE is a file of SQLite or postgresql://...
package main

import (
	"crypto/rand"
	"database/sql"
	"encoding/json"
	"fmt"
	"log"
	"net/url"
	"os"
	"strings"
	"time"

	_ "github.com/lib/pq"
	_ "github.com/mattn/go-sqlite3"
)

func newID() string {
	var b [16]byte
	if _, err := rand.Read(b[:]); err != nil {
		panic(err)
	}
	return fmt.Sprintf("%x", b)
}

func pay(tx *sql.Tx, outbox, order, reference string) error {
	// First the row that the event is about: whoever else pays this order waits here, so events are numbered in the order of the changes.
	done, err := tx.Exec("UPDATE orders SET status = 'paid' WHERE id = $1 AND status = 'open'", order)
	if err != nil {
		return err
	}
	if n, err := done.RowsAffected(); err != nil || n == 0 {
		return fmt.Errorf("%s is not open (%v)", order, err)
	}
	payload, err := json.Marshal(map[string]any{"order_id": order, "paid_at": time.Now().UTC()})
	if err != nil {
		return err
	}
	if _, err = tx.Exec("INSERT INTO "+outbox+" (id, name, key, payload) VALUES ($1, 'order.paid', $2, $3)",
		newID(), order, string(payload)); err != nil { // string: []byte would be a BLOB, or bytea
		return err
	}
	_, err = tx.Exec("INSERT INTO payments (reference, order_id) VALUES ($1, $2)", reference, order)
	return err
}

func run(database, order, reference string) error {
	driver, outbox := "postgres", "busbridge.outbox"
	if !strings.HasPrefix(database, "postgres") { // a plain BEGIN fails at the first write where another writer was quicker
		driver, outbox = "sqlite3", "busbridge_outbox"
		database = "file:" + (&url.URL{Path: database}).EscapedPath() + "?_txlock=immediate&_busy_timeout=10000"
	}
	db, err := sql.Open(driver, database)
	if err != nil {
		return err
	}
	defer db.Close()
	tx, err := db.Begin()
	if err != nil {
		return err
	}
	defer tx.Rollback() // the event goes with it; nothing happens behind a Commit
	if err := pay(tx, outbox, order, reference); err != nil {
		return err
	}
	return tx.Commit()
}

func main() {
	if err := run(os.Args[1], os.Args[2], os.Args[3]); err != nil {
		log.Fatal(err)
	}
}
