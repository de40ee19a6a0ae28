package main

import "fmt"

// The peers that answer fixed bytes know nothing of events: each reply must have the
// size that the server gives to a request of that many IDs. Replies come in order.

type fixedLink struct {
	*http2Conn
	options  linkOptions
	eachByte int
	stream   *stream // nil: a call for each read.
	inOrder  []inFlight
}

// openFixedLink makes a link to a server that answers eachByte bytes for each ID.
func openFixedLink(eachByte int, isStream bool) func(linkOptions) (link, error) {
	return func(options linkOptions) (link, error) {
		conn, err := dialHTTP2(options.address)
		if err != nil {
			return nil, err
		}
		opened := &fixedLink{http2Conn: conn, options: options, eachByte: eachByte}
		if isStream {
			opened.stream = conn.open(service+"GetEventsStream", opened.answer, func(status string) error {
				return fmt.Errorf("the stream ended with status %q", status)
			})
		}
		return opened, nil
	}
}

func (l *fixedLink) queue(slot int, do *operation) error {
	if l.stream != nil {
		l.inOrder = append(l.inOrder, inFlight{slot: slot, do: do})
		l.send(l.stream, do.wire, false)
		return nil
	}
	l.call("GetEvents", do.wire, func(message []byte) error {
		return l.checkSize(do, message)
	}, func() error { return l.options.done(slot, do) })
	return nil
}

func (l *fixedLink) answer(message []byte) error {
	oldest := l.inOrder[0]
	l.inOrder = append(l.inOrder[:0], l.inOrder[1:]...)
	if err := l.checkSize(oldest.do, message); err != nil {
		return err
	}
	return l.options.done(oldest.slot, oldest.do)
}

func (l *fixedLink) checkSize(do *operation, message []byte) error {
	if len(message) != l.eachByte*len(do.ids) {
		return fmt.Errorf("a fixed reply of %d bytes for %d IDs of %d bytes", len(message), len(do.ids), l.eachByte)
	}
	return nil
}
