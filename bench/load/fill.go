package main

import (
	"encoding/json"
	"fmt"
)

const eventsAPut = 100

// fillSidecar puts the first events of the corpus for each homeserver, in batches over one connection.
func fillSidecar(from *corpus, what spec) error {
	conn, err := dialHTTP2(what.Address)
	if err != nil {
		return err
	}
	defer conn.close()
	for n := what.FirstHomeserver; n < what.Homeservers; n++ {
		homeserver := homeserverName(n)
		asOf, err := conn.position(homeserver)
		if err != nil {
			return err
		}
		for at := 0; at < what.Events; at += eventsAPut {
			events := from.events[at:min(at+eventsAPut, what.Events)]
			if err := conn.wait("PutEvents", encodePutEvents(homeserver, events, asOf), nil); err != nil {
				return err
			}
		}
	}
	return nil
}

// wait makes one call and waits for its reply.
func (c *http2Conn) wait(method string, message []byte, onMessage func([]byte) error) error {
	finished := false
	if onMessage == nil {
		onMessage = func([]byte) error { return nil }
	}
	c.call(method, grpcFrame(message), onMessage, func() error {
		finished = true
		return nil
	})
	for !finished {
		if err := c.flush(); err != nil {
			return err
		}
		if err := c.fill(); err != nil {
			return err
		}
		if err := c.handle(); err != nil {
			return err
		}
	}
	return nil
}

// position returns the homeserver's position, as it is on the wire.
func (c *http2Conn) position(homeserver string) ([]byte, error) {
	var position []byte
	err := c.wait("GetEvents", encodeGetEvents(homeserver, nil), func(message []byte) error {
		reply, err := decodeGetEventsResponse(message, nil)
		position = append(position, reply.position...)
		return err
	})
	if err == nil && len(position) == 0 {
		err = fmt.Errorf("the sidecar has no position")
	}
	return position, err
}

// fillRedis stores the same events, and returns the hash of the script.
func fillRedis(from *corpus, what spec) (string, error) {
	conn, err := dialRESP(what.Address)
	if err != nil {
		return "", err
	}
	defer conn.close()
	for n := what.FirstHomeserver; n < what.Homeservers; n++ {
		for at := 0; at < what.Events; at += eventsAPut {
			events := from.events[at:min(at+eventsAPut, what.Events)]
			if _, err := conn.call(appendPut(nil, homeserverName(n), events), 1+len(events)); err != nil {
				return "", err
			}
		}
	}
	return conn.call(appendCommand(nil, "SCRIPT", "LOAD", twoLevelRead), 1)
}

// meanReplyBytes returns how many bytes of a GetEventsResponse an event takes.
func meanReplyBytes(from *corpus, events int) int {
	total := 0
	for at := range from.events[:events] {
		each := &from.events[at]
		total += len(each.id) + len(each.room) + len(each.recorded.roomVersion) + 14 +
			len(each.recorded.body) + len(each.recorded.metadata)
	}
	return total / events
}

func asJSON(value any) string {
	line, err := json.Marshal(value)
	if err != nil {
		return `{"error":"a result that is not JSON"}`
	}
	return string(line)
}
