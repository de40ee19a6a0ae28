package main

import (
	"encoding/binary"
	"errors"
)

// The few messages of the contract that the load needs, written and read by hand:
// a general decoder would cost more than the server that is measured.

const wireVarint, wireBytes = 0, 2

func appendTag(out []byte, field, wire int) []byte {
	return binary.AppendUvarint(out, uint64(field<<3|wire))
}

func appendBytes(out []byte, field int, value []byte) []byte {
	out = binary.AppendUvarint(appendTag(out, field, wireBytes), uint64(len(value)))
	return append(out, value...)
}

func appendString(out []byte, field int, value string) []byte {
	out = binary.AppendUvarint(appendTag(out, field, wireBytes), uint64(len(value)))
	return append(out, value...)
}

func encodeGetEvents(homeserver string, ids []string) []byte {
	out := appendString(nil, 1, homeserver)
	for _, id := range ids {
		out = appendString(out, 2, id)
	}
	return out
}

func encodePutEvents(homeserver string, events []event, asOf []byte) []byte {
	out := appendString(nil, 1, homeserver)
	for _, each := range events {
		message := appendString(nil, 1, each.id)
		message = appendString(message, 2, each.room)
		message = appendString(message, 3, each.recorded.roomVersion)
		message = appendBytes(message, 4, each.recorded.body)
		message = appendBytes(message, 8, each.recorded.metadata)
		out = appendBytes(out, 2, message)
	}
	return appendBytes(out, 3, asOf)
}

func encodeInvalidateEvents(homeserver, room, id string) []byte {
	return appendString(appendString(appendString(nil, 1, homeserver), 2, room), 3, id)
}

var errMalformed = errors.New("malformed protobuf in a reply")

// eachField calls each with every field of a message; number is the value of a varint.
func eachField(message []byte, each func(field int, number uint64, value []byte) error) error {
	for len(message) > 0 {
		tag, size := binary.Uvarint(message)
		if size <= 0 {
			return errMalformed
		}
		message = message[size:]
		number, size := binary.Uvarint(message)
		if size <= 0 {
			return errMalformed
		}
		message = message[size:]
		var value []byte
		switch tag & 7 {
		case wireVarint:
		case wireBytes:
			if uint64(len(message)) < number {
				return errMalformed
			}
			value = message[:number]
			message = message[number:]
		default:
			return errMalformed
		}
		if err := each(int(tag>>3), number, value); err != nil {
			return err
		}
	}
	return nil
}

// What a GetEventsResponse holds.
type readReply struct {
	hits      int
	missing   int
	truncated int
	bodyBytes int
	position  []byte
}

// decodeGetEventsResponse counts hits and bytes; hit, if not nil, sees each event.
func decodeGetEventsResponse(message []byte, hit func(id, body []byte) error) (readReply, error) {
	var reply readReply
	err := eachField(message, func(field int, _ uint64, value []byte) error {
		switch field {
		case 1:
			id, body, err := decodeCachedEvent(value)
			if err != nil {
				return err
			}
			reply.hits++
			reply.bodyBytes += len(body)
			if hit != nil {
				return hit(id, body)
			}
		case 2:
			reply.missing++
		case 3:
			reply.truncated++
		case 4:
			reply.position = value
		}
		return nil
	})
	return reply, err
}

func decodeCachedEvent(message []byte) (id, body []byte, err error) {
	err = eachField(message, func(field int, _ uint64, value []byte) error {
		switch field {
		case 1:
			id = value
		case 4:
			body = value
		}
		return nil
	})
	return id, body, err
}
