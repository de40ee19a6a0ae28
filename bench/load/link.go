package main

import (
	"bytes"
	"fmt"
)

// A link is one connection to a server. One goroutine uses it: it queues operations for
// slots, flushes them in one write, waits for bytes with fill, and handles what came; done is
// called for each answered slot. Only fill may run beside the other methods.
type link interface {
	queue(slot int, do *operation) error
	flush() error
	fill() error
	handle() error
	close()
}

type linkOptions struct {
	address      string
	slots        int
	besideWrites bool
	done         func(slot int, was *operation) error
}

// Each reply's counts are checked; of some replies every byte is.
const wholeCheckEvery = 512

// wholeCheck compares each event of a reply with the corpus.
type wholeCheck struct {
	of *operation
	at int
}

func (w *wholeCheck) hit(id, body []byte) error {
	for w.at < len(w.of.events) && (w.of.events[w.at] == nil || w.of.events[w.at].id != string(id)) {
		w.at++
	}
	if w.at == len(w.of.events) {
		return fmt.Errorf("the reply holds %q, which was not asked for in this place", id)
	}
	if !bytes.Equal(body, w.of.events[w.at].recorded.body) {
		return fmt.Errorf("the body of %q differs from what was put", id)
	}
	w.at++
	return nil
}
