package main

import (
	"bytes"
	"fmt"
)

// The two-level read without a script: the events with MGET, then, as the rooms are known, their metadata with HGET.

const secondTrip = 3

func answerFirstTrip(_ *redisLink, do *operation, reply *respReply) (bool, error) {
	if len(reply.elements) != len(do.ids) {
		return true, fmt.Errorf("MGET answered %d values for %d IDs", len(reply.elements), len(do.ids))
	}
	return false, nil
}

func (l *redisLink) queueMetadata(was inFlight, reply *respReply) error {
	do := was.do
	hits, bodyBytes := 0, 0
	for at, element := range reply.elements {
		if element == nil {
			continue
		}
		hits++
		room, body, _ := bytes.Cut(element, []byte("\n"))
		bodyBytes += len(body)
		l.out = appendCommand(l.out, "HGET", metadataKey(do.homeserver, string(room)), do.ids[at])
	}
	if err := do.check(hits, len(do.ids)-hits, bodyBytes, l.options.besideWrites); err != nil {
		return err
	}
	if hits == 0 {
		return l.options.done(was.slot, do)
	}
	l.inOrder = append(l.inOrder, inFlight{slot: was.slot, do: do, stage: secondTrip, seen: hits})
	return nil
}

func (l *redisLink) stepMetadata(oldest *inFlight, reply *respReply) (bool, error) {
	if reply.elements[0] == nil && !l.options.besideWrites {
		return true, fmt.Errorf("an event without metadata")
	}
	oldest.seen--
	if oldest.seen > 0 {
		return false, nil
	}
	return true, l.options.done(oldest.slot, oldest.do)
}

func bodyOf(stored []byte) []byte {
	_, body, _ := bytes.Cut(stored, []byte("\n"))
	return body
}

func (w *wholeCheck) hitBody(body []byte) error {
	for w.at < len(w.of.events) {
		expected := w.of.events[w.at]
		w.at++
		if expected != nil && bytes.Equal(body, expected.recorded.body) {
			return nil
		}
	}
	return fmt.Errorf("a body differs from what was put")
}
