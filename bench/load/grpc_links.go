package main

import (
	"encoding/binary"
	"fmt"
)

const service = "/splitcache.v1.EventCacheService/"

func grpcFrame(message []byte) []byte {
	out := make([]byte, 5, 5+len(message))
	binary.BigEndian.PutUint32(out[1:], uint32(len(message)))
	return append(out, message...)
}

// callLink makes each read a call of GetEvents.
type callLink struct {
	*http2Conn
	options linkOptions
	reads   int
}

func encodeCall(homeserver string, ids []string) []byte {
	return grpcFrame(encodeGetEvents(homeserver, ids))
}

func openCallLink(options linkOptions) (link, error) {
	conn, err := dialHTTP2(options.address)
	return &callLink{http2Conn: conn, options: options}, err
}

func (l *callLink) queue(slot int, do *operation) error {
	if do.written != nil {
		return writeThrough(l.http2Conn, do, func() error { return l.options.done(slot, do) })
	}
	l.call("GetEvents", do.wire, func(message []byte) error {
		l.reads++
		return checkReply(do, message, l.reads, l.options.besideWrites)
	}, func() error { return l.options.done(slot, do) })
	return nil
}

// call makes a call with one message each way; finish follows a reply and the status OK.
func (c *http2Conn) call(method string, framed []byte, onMessage func([]byte) error, finish func() error) {
	messages := 0
	to := c.open(service+method, func(message []byte) error {
		messages++
		return onMessage(message)
	}, func(status string) error {
		if status != "0" || messages != 1 {
			return fmt.Errorf("%s ended with status %q and %d messages", method, status, messages)
		}
		return finish()
	})
	c.send(to, framed, true)
}

// writeThrough invalidates an event and puts it again.
func writeThrough(conn *http2Conn, do *operation, finish func() error) error {
	var position []byte
	invalidate := grpcFrame(encodeInvalidateEvents(do.homeserver, do.written.room, do.written.id))
	conn.call("InvalidateEvents", invalidate, func(message []byte) error {
		return eachField(message, func(field int, _ uint64, value []byte) error {
			if field == 1 {
				position = append([]byte(nil), value...)
			}
			return nil
		})
	}, func() error {
		put := grpcFrame(encodePutEvents(do.homeserver, []event{*do.written}, position))
		conn.call("PutEvents", put, func([]byte) error { return nil }, finish)
		return nil
	})
	return nil
}

func checkReply(do *operation, message []byte, reads int, besideWrites bool) error {
	var hit func(id, body []byte) error
	if reads%wholeCheckEvery == 1 {
		hit = (&wholeCheck{of: do}).hit
	}
	reply, err := decodeGetEventsResponse(message, hit)
	if err != nil {
		return err
	}
	return do.check(reply.hits, reply.missing, reply.bodyBytes, besideWrites)
}

// streamLink makes all reads of a connection messages of one GetEventsStream.
type streamLink struct {
	*http2Conn
	options linkOptions
	stream  *stream
	slots   []*operation
	counter uint64
	scratch []byte
	reads   int
}

// Request IDs are varints of four bytes each, so that they can be written into a finished
// request: 1, a counter of 13 bits, a slot of 8.
const (
	requestIDAt   = 6
	slotBits      = 8
	counterMask   = 1<<13 - 1
	requestIDFlag = 1 << 21
)

func encodeStreamRead(homeserver string, ids []string) []byte {
	message := binary.AppendUvarint(appendTag(nil, 1, wireVarint), requestIDFlag)
	return grpcFrame(appendBytes(message, 2, encodeGetEvents(homeserver, ids)))
}

func openStreamLink(options linkOptions) (link, error) {
	conn, err := dialHTTP2(options.address)
	if err != nil {
		return nil, err
	}
	opened := &streamLink{http2Conn: conn, options: options, slots: make([]*operation, options.slots)}
	opened.stream = conn.open(service+"GetEventsStream", opened.answer, func(status string) error {
		return fmt.Errorf("the stream ended with status %q", status)
	})
	return opened, nil
}

func (l *streamLink) queue(slot int, do *operation) error {
	if do.written != nil {
		return writeThrough(l.http2Conn, do, func() error { return l.options.done(slot, do) })
	}
	l.counter++
	l.slots[slot] = do
	id := requestIDFlag | l.counter&counterMask<<slotBits | uint64(slot)
	// The connections share the operations: the ID goes into a copy.
	l.scratch = append(l.scratch[:0], do.wire...)
	binary.PutUvarint(l.scratch[requestIDAt:], id)
	l.send(l.stream, l.scratch, false)
	return nil
}

func (l *streamLink) answer(message []byte) error {
	var slot int
	return eachField(message, func(field int, number uint64, value []byte) error {
		switch field {
		case 1:
			slot = int(number & (1<<slotBits - 1))
		case 2:
			do := l.slots[slot]
			if do == nil {
				return fmt.Errorf("a reply to a request that is not in flight")
			}
			l.slots[slot] = nil
			l.reads++
			if err := checkReply(do, value, l.reads, l.options.besideWrites); err != nil {
				return err
			}
			return l.options.done(slot, do)
		case 3:
			return fmt.Errorf("a request on the stream failed: %q", value)
		}
		return nil
	})
}
