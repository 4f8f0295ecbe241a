// Command database keeps an SQLite database in WAL mode busy, and says what a copy of one holds.
//
//	database write -seed S -every T FILE   transactions, one after the other, until stopped
//	database read  -seed S FILE            what FILE holds, as JSON
//
// A transaction adds a numbered record, moves an amount between two accounts and rewrites one page in
// every sixteenth: a copy that is made of two states shows it in at least one of the three. A hook stops the
// writer with "corpus freeze FILE", and lets it go on with "corpus thaw FILE".
package main

import (
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"time"

	_ "modernc.org/sqlite"
)

const (
	pages   = 4096
	classes = 16
	schema  = `
		CREATE TABLE records (number INTEGER PRIMARY KEY, digest TEXT NOT NULL);
		CREATE TABLE accounts (name TEXT PRIMARY KEY, amount INTEGER NOT NULL);
		INSERT INTO accounts VALUES ('from', 0), ('to', 0);
		CREATE TABLE pages (id INTEGER PRIMARY KEY, written INTEGER NOT NULL, filler BLOB NOT NULL);
		WITH RECURSIVE ids (id) AS (SELECT 0 UNION ALL SELECT id + 1 FROM ids WHERE id + 1 < ?)
		INSERT INTO pages SELECT id, 0, randomblob(3500) FROM ids;`
)

// state is what a database holds.
type state struct {
	Integrity string `json:"integrity"` // "ok", or what SQLite says
	Records   int64  `json:"records"`
	Last      int64  `json:"last"`    // number of the last record
	Wrong     int64  `json:"wrong"`   // records whose digest is another
	Balance   int64  `json:"balance"` // what the accounts are away from where the records leave them
	Stale     int64  `json:"stale"`   // pages that are not of the transaction that wrote their class last
}

func main() {
	if len(os.Args) < 2 {
		fail(2, errors.New("a command is missing: write or read"))
	}
	flags := flag.NewFlagSet(os.Args[1], flag.ExitOnError)
	seed := flags.String("seed", "", "text that the digests are derived from")
	every := flags.Duration("every", 10*time.Millisecond, "pause between two transactions")
	if err := flags.Parse(os.Args[2:]); err != nil {
		fail(2, err)
	}
	switch os.Args[1] {
	case "write":
		fail(1, write(*seed, *every, flags.Arg(0)))
	case "read":
		if err := json.NewEncoder(os.Stdout).Encode(read(*seed, flags.Arg(0))); err != nil {
			fail(1, err)
		}
	default:
		fail(2, fmt.Errorf("unknown command %q", os.Args[1]))
	}
}

func fail(code int, err error) {
	fmt.Fprintln(os.Stderr, "database:", err)
	os.Exit(code)
}

// open uses one connection, since pragmas are a connection's own.
func open(path, mode string) (*sql.DB, error) {
	db, err := sql.Open("sqlite", "file:"+path+"?mode="+mode)
	if err == nil {
		db.SetMaxOpenConns(1)
	}
	return db, err
}

func digest(seed string, number int64) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s %d", seed, number))
	return hex.EncodeToString(sum[:])
}

func write(seed string, every time.Duration, path string) error {
	db, err := open(path, "rwc")
	if err != nil {
		return err
	}
	defer db.Close()
	// Checkpoints often: what is copied then changes under the reader, in both files.
	if _, err := db.Exec("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA wal_autocheckpoint=500"); err != nil {
		return err
	}
	if _, err := db.Exec(schema, pages); err != nil {
		return err
	}
	for number := int64(1); ; number++ {
		if err := transaction(db, number, digest(seed, number)); err != nil {
			return err
		}
		if err := pauseIfAsked(db, path); err != nil {
			return err
		}
		time.Sleep(every)
	}
}

func transaction(db *sql.DB, number int64, digest string) error {
	tx, err := db.Begin()
	if err != nil {
		return err
	}
	defer tx.Rollback()
	for _, change := range []struct {
		statement string
		values    []any
	}{
		{"INSERT INTO records VALUES (?, ?)", []any{number, digest}},
		{"UPDATE accounts SET amount = amount - ? WHERE name = 'from'", []any{number}},
		{"UPDATE accounts SET amount = amount + ? WHERE name = 'to'", []any{number}},
		{"UPDATE pages SET written = ? WHERE id % ? = ?", []any{number, classes, number % classes}},
	} {
		if _, err := tx.Exec(change.statement, change.values...); err != nil {
			return err
		}
	}
	return tx.Commit()
}

// pauseIfAsked brings everything into the one file and stops, as long as "corpus freeze" asks for it.
func pauseIfAsked(db *sql.DB, path string) error {
	control := filepath.Join(os.TempDir(), filepath.Base(path))
	if _, err := os.Lstat(control + ".freeze"); err != nil {
		return nil
	}
	if _, err := db.Exec("PRAGMA wal_checkpoint(TRUNCATE)"); err != nil {
		return err
	}
	if err := os.WriteFile(control+".frozen", nil, 0o600); err != nil {
		return err
	}
	for {
		if _, err := os.Lstat(control + ".freeze"); err != nil {
			return os.Remove(control + ".frozen")
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// read never fails on what it finds: a copy that SQLite refuses is a finding.
func read(seed, path string) state {
	var found state
	db, err := open(path, "rw")
	if err == nil {
		defer db.Close()
		err = inspect(db, seed, &found)
	}
	if err != nil {
		found.Integrity = err.Error()
	}
	return found
}

func inspect(db *sql.DB, seed string, found *state) error {
	if err := db.QueryRow("PRAGMA integrity_check(1)").Scan(&found.Integrity); err != nil {
		return err
	}
	rows, err := db.Query("SELECT number, digest FROM records ORDER BY number")
	if err != nil {
		return err
	}
	defer rows.Close()
	sum := int64(0)
	for rows.Next() {
		var kept string
		if err := rows.Scan(&found.Last, &kept); err != nil {
			return err
		}
		found.Records++
		sum += found.Last
		if kept != digest(seed, found.Last) {
			found.Wrong++
		}
	}
	if err := rows.Err(); err != nil {
		return err
	}
	off := "SELECT COALESCE(SUM(ABS(amount - CASE name WHEN 'to' THEN ?1 ELSE -?1 END)), -1) FROM accounts"
	if err := db.QueryRow(off, sum).Scan(&found.Balance); err != nil {
		return err
	}
	// The last record of each class is the last number that leaves its remainder.
	stale := "SELECT COUNT(*) FROM pages WHERE written != MAX(0, ?1 - ((?1 - id) % ?2 + ?2) % ?2)"
	return db.QueryRow(stale, found.Last, classes).Scan(&found.Stale)
}
