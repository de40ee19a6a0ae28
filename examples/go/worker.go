package main

import (
	"bufio"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"time"

	pb "example.org/splitcache-example/splitcachev1"
)

// homeserver is its database: events that can change. New events owe no announcement.
type homeserver struct{ database *sql.DB }

func openHomeserver(path string) (*homeserver, error) {
	database, err := openDatabase(path)
	if err != nil {
		return nil, err
	}
	return &homeserver{database}, transaction(database, func(tx *sql.Tx) error {
		_, err := tx.Exec("CREATE TABLE IF NOT EXISTS events (event_id TEXT PRIMARY KEY, body TEXT NOT NULL)")
		for _, event := range []*pb.CachedEvent{message(one, "one"), message(two, "two")} {
			if err == nil {
				_, err = tx.Exec("INSERT INTO events VALUES (?, ?) ON CONFLICT DO NOTHING",
					event.GetEventId(), string(event.GetBody()))
			}
		}
		return err
	})
}

func (h *homeserver) read(eventID string) (*pb.CachedEvent, error) {
	var body string
	err := h.database.QueryRow("SELECT body FROM events WHERE event_id = ?", eventID).Scan(&body)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	return &pb.CachedEvent{EventId: eventID, RoomId: room, RoomVersion: "10", Body: []byte(body)}, err
}

// change returns the row of the outbox, after COMMIT was answered, and what it says. If it fails, the
// outcome may be unknown: the row, if it is there, is relayed.
func (h *homeserver) change(eventID, text string) (row, says string, err error) {
	says = eventsChanged(room, eventID)
	err = transaction(h.database, func(tx *sql.Tx) error {
		_, err := tx.Exec("UPDATE events SET body = ? WHERE event_id = ?",
			string(message(eventID, text).GetBody()), eventID)
		if err == nil {
			row, err = insertRow(tx, says)
		}
		return err
	})
	return row, says, err
}

// worker is a process of a homeserver: it reads events through the cache, and changes them.
type worker struct {
	cache      *cache
	homeserver *homeserver
	near       *nearCache
	outbox     *outbox
}

// work takes commands: read EVENT_ID and change EVENT_ID TEXT.
func work(ctx context.Context, c *cache, path string, commands io.Reader) error {
	homeserver, err := openHomeserver(path)
	if err != nil {
		return err
	}
	database, err := openDatabase(path)
	if err != nil {
		return err
	}
	near := newNearCache()
	w := &worker{c, homeserver, near, &outbox{
		gate: newGate(), cache: c, table: outboxTable{database}, answered: near.answered,
	}}
	go w.outbox.run(ctx)
	go follow(ctx, c, near)
	ended := make(chan error, 1)
	go func() { ended <- w.obey(ctx, commands) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
		return nil
	}
}

func (w *worker) obey(ctx context.Context, commands io.Reader) error {
	lines := bufio.NewScanner(commands)
	for lines.Scan() {
		words := strings.SplitN(lines.Text(), " ", 3)
		switch {
		case len(words) == 2 && words[0] == "read":
			event, source, err := w.read(ctx, words[1])
			if err != nil {
				return err
			}
			fmt.Println("read", words[1], textOf(event), source)
		case len(words) == 3 && words[0] == "change":
			outcome, err := w.change(ctx, words[1], words[2])
			if err != nil {
				return err
			}
			fmt.Println("changed", words[1], outcome)
		}
	}
	return lines.Err()
}

// read returns the event, and where it is from.
func (w *worker) read(ctx context.Context, eventID string) (*pb.CachedEvent, string, error) {
	if !w.outbox.isOpen() {
		event, err := w.homeserver.read(eventID)
		return event, "from the database, the gate is closed", err
	}
	if w.outbox.uses(w.near.epoch()) {
		if kept := w.near.get(eventID); kept != nil {
			return kept, "kept", nil
		}
	}
	hit, asOf := w.lookUp(ctx, eventID)
	if hit != nil {
		return hit, "from the cache", nil
	}
	// After the reply, never before it.
	event, err := w.homeserver.read(eventID)
	if err == nil && event != nil && asOf != nil {
		if _, err := w.cache.put(ctx, asOf, event); err != nil {
			fmt.Println("not filled:", code(err))
		}
	}
	return event, "from the database", err
}

// lookUp returns what the cache has, or a position to fill with, or neither.
func (w *worker) lookUp(ctx context.Context, eventID string) (*pb.CachedEvent, *pb.Position) {
	sentAt := time.Now()
	found, err := w.cache.get(ctx, redacted, eventID)
	if err != nil || !w.outbox.uses(epochOf(found.position)) {
		return nil, nil
	}
	if len(found.hits) == 0 || time.Since(sentAt) >= replyAgeMax {
		return nil, found.position
	}
	w.near.keep(found.hits[0], found.position, sentAt)
	return found.hits[0], nil
}

func (w *worker) change(ctx context.Context, eventID, text string) (string, error) {
	row, says, err := w.homeserver.change(eventID, text)
	if err != nil {
		return "", err
	}
	if w.outbox.announce(ctx, row, says, time.Now()) {
		return "and announced", nil
	}
	return "and left to the relays", nil
}

// commitAndDie is what the outbox is for: a process that dies between its COMMIT and its announcement.
func commitAndDie(path, eventID, text string) error {
	homeserver, err := openHomeserver(path)
	if err != nil {
		return err
	}
	row, _, err := homeserver.change(eventID, text)
	if err != nil {
		return err
	}
	fmt.Println("committed", row)
	return syscall.Kill(os.Getpid(), syscall.SIGKILL)
}

func textOf(event *pb.CachedEvent) string {
	var body struct{ Content struct{ Body string } }
	if event == nil || json.Unmarshal(event.GetBody(), &body) != nil {
		return "(none)"
	}
	return body.Content.Body
}
