package main

import (
	"sync"
	"time"
)

const (
	pollInterval = time.Second
	// R, G, A, D, T and N of docs/announcing.md.
	relayAfter     = 2 * time.Second
	pollAgeMax     = 3 * time.Second
	rowAgeMax      = 4 * time.Second
	replyAgeMax    = 250 * time.Millisecond
	writeWait      = 4 * time.Second
	positionAgeMax = 2 * time.Second
	epochSilence   = 30 * time.Second
	rowsMax        = 10_000
)

// poll is what one poll of the outbox showed.
type poll struct {
	// Just before it was sent.
	sentAt time.Time
	// IDs; at most one more than rowsMax.
	rows []string
	// The registered epoch, hexadecimal; empty before the first one.
	epoch string
	// The life of the database that answered, and the recorded one.
	generation, recordedGeneration string
	// Raised by pollers: heard by those that have had a reply of the registered epoch.
	counter, heard int64
}

// gate has the rules of docs/announcing.md without any I/O: which rows are overdue, whether the cache
// may be read, and which epoch counts. Times are of the monotonic clock of this process; the zero
// time is long ago. It may be asked in any goroutine.
type gate struct {
	mutex           sync.Mutex
	epoch           string
	epochSince      time.Time
	heard           int64
	heardSince      time.Time
	counter         int64
	isOtherDatabase bool
	// When the last successful poll was sent.
	polledAt time.Time
	// Of each row that it showed: when the last successful poll was sent that did not show it.
	absentAt map[string]time.Time
	// Rows that this process has announced in the registered epoch, and when.
	announcedAt map[string]time.Time
}

func newGate() *gate {
	return &gate{heard: -1, counter: -1, announcedAt: map[string]time.Time{}}
}

func (g *gate) learn(shown poll) {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	now := time.Now()
	if shown.epoch != g.epoch {
		// What was announced before went to another log.
		clear(g.announcedAt)
		g.epoch, g.epochSince, g.heard = shown.epoch, now, -1
	}
	if shown.heard != g.heard {
		g.heard, g.heardSince = shown.heard, now
	}
	if shown.generation != shown.recordedGeneration || shown.counter < g.counter {
		g.isOtherDatabase = true
	}
	g.counter = shown.counter
	if len(shown.rows) > rowsMax {
		// These are not all rows: the poll does not count.
		return
	}
	absentAt := make(map[string]time.Time, len(shown.rows))
	for _, row := range shown.rows {
		at, isKnown := g.absentAt[row]
		if !isKnown {
			at = g.polledAt
		}
		absentAt[row] = at
	}
	g.absentAt, g.polledAt = absentAt, shown.sentAt
	for row, at := range g.announcedAt {
		if _, isShown := absentAt[row]; !isShown && !at.After(shown.sentAt) {
			delete(g.announcedAt, row)
		}
	}
}

// announced says that these announcements were answered OK in this epoch. It returns false if that is
// not the registered one: then they do not count.
func (g *gate) announced(rows []string, epoch string) bool {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	if epoch != g.epoch {
		return false
	}
	for _, row := range rows {
		g.announcedAt[row] = time.Now()
	}
	return true
}

// purged says that everything was purged because of the other database, and the new epoch registered.
func (g *gate) purged() {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	g.isOtherDatabase = false
}

// isOpen says whether a lookup may be sent now, and what is kept be used.
func (g *gate) isOpen() bool {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	if g.isOtherDatabase || time.Since(g.polledAt) >= pollAgeMax {
		return false
	}
	return len(g.owed(rowAgeMax)) == 0
}

// uses says whether replies and positions of this epoch may be used.
func (g *gate) uses(epoch string) bool {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	return epoch != "" && epoch == g.epoch
}

// counts says whether an OK of this epoch, under which the row was deleted, makes a write visible:
// until then another process may still read in the epoch before.
func (g *gate) counts(epoch string) bool {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	return epoch == g.epoch && time.Since(g.epochSince) >= pollAgeMax
}

// overdue returns the rows that this process must relay.
func (g *gate) overdue() []string {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	return g.owed(relayAfter)
}

// deletable returns the rows that the last poll showed, although this process has announced them.
func (g *gate) deletable() []string {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	var rows []string
	for row := range g.absentAt {
		if _, isAnnounced := g.announcedAt[row]; isAnnounced {
			rows = append(rows, row)
		}
	}
	return rows
}

// isEpochSilent says whether no process has had a reply of the registered epoch for too long.
func (g *gate) isEpochSilent() bool {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	return g.epoch != "" && time.Since(g.heardSince) >= epochSilence
}

func (g *gate) mustPurge() bool {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	return g.isOtherDatabase
}

// owed returns the rows of at least this age that this process has not announced.
func (g *gate) owed(age time.Duration) []string {
	var rows []string
	for row, at := range g.absentAt {
		if _, isAnnounced := g.announcedAt[row]; !isAnnounced && time.Since(at) >= age {
			rows = append(rows, row)
		}
	}
	return rows
}
