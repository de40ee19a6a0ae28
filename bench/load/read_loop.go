package main

import (
	"sync"
	"time"
)

// readLoop drives one link. It queues an operation for each free slot: at once, or, paced,
// when its time has come; then the latency counts from the time at which it was due.
type readLoop struct {
	shared    *counters
	link      link
	pool      []operation
	next      int
	sentAt    []time.Time
	latencies *histogram
	inFlight  int
	paced     bool
	pause     time.Duration
	// Of the paced loop, whose second goroutine queues.
	mutex sync.Mutex
	free  []int
	due   time.Time
}

func (l *readLoop) run() error {
	if l.paced {
		return l.runPaced()
	}
	for slot := range l.sentAt {
		if err := l.start(slot, time.Now()); err != nil {
			return err
		}
	}
	for l.inFlight > 0 {
		if err := l.link.flush(); err != nil {
			return err
		}
		if err := l.link.fill(); err != nil {
			return err
		}
		if err := l.link.handle(); err != nil {
			return err
		}
	}
	return nil
}

func (l *readLoop) start(slot int, due time.Time) error {
	do := &l.pool[l.next]
	l.next = (l.next + 1) % len(l.pool)
	l.inFlight++
	l.sentAt[slot] = due
	return l.link.queue(slot, do)
}

// done counts an answered operation, and starts the next in its slot.
func (l *readLoop) done(slot int, was *operation) error {
	now := time.Now()
	l.inFlight--
	l.shared.operations.Add(1)
	l.shared.events.Add(uint64(len(was.ids)))
	if was.written == nil && l.shared.recording.Load() {
		l.latencies.add(now.Sub(l.sentAt[slot]))
	}
	if l.paced {
		l.free = append(l.free, slot)
		return l.startDue(now)
	}
	if l.shared.stopped.Load() {
		return nil
	}
	return l.start(slot, now)
}

// runPaced lets one goroutine queue what is due and another receive; a mutex keeps them apart.
func (l *readLoop) runPaced() error {
	for slot := range l.sentAt {
		l.free = append(l.free, slot)
	}
	l.due = time.Now()
	ticks := time.NewTicker(500 * time.Microsecond)
	defer ticks.Stop()
	received := make(chan error, 1)
	go func() { received <- l.receiveAll() }()
	for !l.shared.stopped.Load() {
		select {
		case err := <-received:
			return err
		case now := <-ticks.C:
			if err := l.tick(now); err != nil {
				return err
			}
		}
	}
	// Ends the other goroutine, whatever is in flight.
	l.link.close()
	<-received
	return nil
}

func (l *readLoop) receiveAll() error {
	for {
		if err := l.link.fill(); err != nil {
			return err
		}
		l.mutex.Lock()
		err := l.link.handle()
		if err == nil {
			err = l.link.flush()
		}
		l.mutex.Unlock()
		if err != nil {
			return err
		}
	}
}

func (l *readLoop) tick(now time.Time) error {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	if err := l.startDue(now); err != nil {
		return err
	}
	return l.link.flush()
}

func (l *readLoop) startDue(now time.Time) error {
	for len(l.free) > 0 && !l.due.After(now) {
		slot := l.free[len(l.free)-1]
		l.free = l.free[:len(l.free)-1]
		if err := l.start(slot, l.due); err != nil {
			return err
		}
		l.due = l.due.Add(l.pause)
	}
	return nil
}
