package main

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"time"

	// A driver in plain Go.
	_ "modernc.org/sqlite"
)

// The outbox in the homeserver's database: its tables, and the statements on them.
//
// Here the database is one SQLite file. With PostgreSQL the statements are the same, in READ
// COMMITTED, but for the generation: see docs/announcing.md.

const (
	tablesVersion = 1
	tables        = `
CREATE TABLE IF NOT EXISTS splitcache_outbox (id TEXT PRIMARY KEY, announcement TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS splitcache_state (
    singleton INTEGER PRIMARY KEY CHECK (singleton = 1), version INTEGER NOT NULL,
    epoch TEXT NOT NULL, generation TEXT NOT NULL,
    counter BIGINT NOT NULL, heard BIGINT NOT NULL);
CREATE TABLE IF NOT EXISTS splitcache_superseded_epochs (
    epoch TEXT PRIMARY KEY, superseded_at BIGINT NOT NULL);
INSERT INTO splitcache_state VALUES (1, 1, '', '', 0, 0) ON CONFLICT DO NOTHING;`
	// A transaction that writes begins with the lock, so that none fails halfway.
	dsnOptions = "_txlock=immediate&_pragma=busy_timeout(1000)&_pragma=journal_mode(WAL)"
	// Of all statements of one poll or change.
	databaseTimeout = 2 * time.Second
)

// openDatabase opens a homeserver's database and creates the tables of the outbox. The outbox is
// followed on connections of its own, so that others that are busy do not delay a poll.
func openDatabase(path string) (*sql.DB, error) {
	database, err := sql.Open("sqlite", (&url.URL{Scheme: "file", Opaque: path, RawQuery: dsnOptions}).String())
	if err != nil {
		return nil, err
	}
	var version int
	_, err = database.Exec(tables)
	if err == nil {
		err = database.QueryRow("SELECT version FROM splitcache_state").Scan(&version)
	}
	if err == nil && version != tablesVersion {
		err = fmt.Errorf("the outbox has version %d, this program knows %d", version, tablesVersion)
	}
	return database, err
}

// transaction commits what work has done, unless it fails.
func transaction(database *sql.DB, work func(*sql.Tx) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), databaseTimeout)
	defer cancel()
	tx, err := database.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	if err := work(tx); err != nil {
		return errors.Join(err, tx.Rollback())
	}
	return tx.Commit()
}

// insertRow adds a row to the transaction that changes events. Each attempt has a new random ID.
func insertRow(tx *sql.Tx, announcement string) (string, error) {
	row := rand.Text()
	_, err := tx.Exec("INSERT INTO splitcache_outbox VALUES (?, ?)", row, announcement)
	return row, err
}

// outboxTable follows the outbox.
type outboxTable struct{ database *sql.DB }

func (t outboxTable) poll() (poll, error) {
	shown := poll{sentAt: time.Now(), generation: "sqlite"}
	// In this order: a row that is gone because it was announced in another epoch is not shown, so
	// the epoch that is read after it must be that one.
	rows, err := t.database.Query("SELECT id FROM splitcache_outbox LIMIT ?", rowsMax+1)
	if err != nil {
		return shown, err
	}
	defer rows.Close()
	for rows.Next() {
		var row string
		if err := rows.Scan(&row); err != nil {
			return shown, err
		}
		shown.rows = append(shown.rows, row)
	}
	if err := rows.Err(); err != nil {
		return shown, err
	}
	err = t.database.QueryRow("SELECT epoch, generation, counter, heard FROM splitcache_state").
		Scan(&shown.epoch, &shown.recordedGeneration, &shown.counter, &shown.heard)
	return shown, err
}

// announcement returns what a row owes; nothing if it is gone.
func (t outboxTable) announcement(row string) (string, error) {
	var announcement string
	err := t.database.QueryRow("SELECT announcement FROM splitcache_outbox WHERE id = ?", row).Scan(&announcement)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	return announcement, err
}

// delete deletes announced rows if the epoch of their OK is registered, and says whether it is.
func (t outboxTable) delete(rows []string, epoch string) (bool, error) {
	isRegistered := false
	err := transaction(t.database, func(tx *sql.Tx) error {
		var registered string
		if err := tx.QueryRow("SELECT epoch FROM splitcache_state").Scan(&registered); err != nil {
			return err
		}
		if isRegistered = registered == epoch; !isRegistered {
			return nil
		}
		for _, row := range rows {
			if _, err := tx.Exec("DELETE FROM splitcache_outbox WHERE id = ?", row); err != nil {
				return err
			}
		}
		return nil
	})
	return isRegistered && err == nil, err
}

// register registers an epoch in place of the one that this poll showed, unless it was superseded
// before. It records the generation of the database with it.
func (t outboxTable) register(epoch string, replaced poll) (bool, error) {
	isRegistered := false
	err := transaction(t.database, func(tx *sql.Tx) error {
		result, err := tx.Exec(`UPDATE splitcache_state SET epoch = ?, generation = ? WHERE epoch = ?
			AND NOT EXISTS (SELECT 1 FROM splitcache_superseded_epochs WHERE epoch = ?)`,
			epoch, replaced.generation, replaced.epoch, epoch)
		if err != nil {
			return err
		}
		changed, err := result.RowsAffected()
		isRegistered = changed == 1
		if err != nil || !isRegistered || replaced.epoch == "" {
			return err
		}
		_, err = tx.Exec(`INSERT INTO splitcache_superseded_epochs
			SELECT ?, coalesce(max(superseded_at), 0) + 1 FROM splitcache_superseded_epochs`, replaced.epoch)
		return err
	})
	return isRegistered && err == nil, err
}

func (t outboxTable) raiseCounters(counter, heard bool, epoch string) error {
	if !counter && !heard {
		return nil
	}
	return transaction(t.database, func(tx *sql.Tx) error {
		_, err := tx.Exec("UPDATE splitcache_state SET counter = counter + ?, heard = heard + ? WHERE epoch = ?",
			counter, heard, epoch)
		return err
	})
}
