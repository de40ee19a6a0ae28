package main

import (
	"bytes"
	"fmt"
	"net"
	"strconv"
)

// The protocol of Redis, as far as the load needs it.

func appendCommand(out []byte, words ...string) []byte {
	out = appendHead(out, '*', len(words))
	for _, word := range words {
		out = appendHead(out, '$', len(word))
		out = append(append(out, word...), "\r\n"...)
	}
	return out
}

func appendHead(out []byte, kind byte, number int) []byte {
	return append(strconv.AppendInt(append(out, kind), int64(number), 10), "\r\n"...)
}

// A reply, flat: an array is its elements, and anything else one element. A nil element is an absent value.
type respReply struct {
	elements [][]byte
	err      string
}

type respConn struct {
	socket net.Conn
	in     []byte
	at     int // Where the next reply begins.
	end    int
	out    []byte
	reply  respReply
}

func dialRESP(address string) (*respConn, error) {
	socket, err := dial(address)
	if err != nil {
		return nil, err
	}
	return &respConn{socket: socket, in: make([]byte, 1<<18)}, nil
}

func (c *respConn) close() { c.socket.Close() }

func (c *respConn) flush() error {
	if len(c.out) == 0 {
		return nil
	}
	_, err := c.socket.Write(c.out)
	c.out = c.out[:0]
	return err
}

// fill reads what the socket has, behind what is there.
func (c *respConn) fill() error {
	copy(c.in, c.in[c.at:c.end])
	c.end -= c.at
	c.at = 0
	if c.end == len(c.in) {
		c.in = append(c.in, make([]byte, len(c.in))...)
	}
	count, err := c.socket.Read(c.in[c.end:])
	c.end += count
	return err
}

// next returns the next whole reply that was read, or nil. It is valid until the next fill.
func (c *respConn) next() (*respReply, error) {
	c.reply.elements = c.reply.elements[:0]
	c.reply.err = ""
	rest := c.in[c.at:c.end]
	count := 1
	if len(rest) > 0 && rest[0] == '*' {
		number, after, ok, err := head(rest)
		if !ok || err != nil {
			return nil, err
		}
		count, rest = number, after
	}
	for range count {
		if len(rest) == 0 {
			return nil, nil
		}
		kind := rest[0]
		number, after, ok, err := head(rest)
		if !ok || err != nil {
			return nil, err
		}
		switch {
		case kind == '$' && number >= 0:
			if len(after) < number+2 {
				return nil, nil
			}
			c.reply.elements = append(c.reply.elements, after[:number])
			rest = after[number+2:]
		case kind == '$':
			c.reply.elements = append(c.reply.elements, nil)
			rest = after
		case kind == '-':
			c.reply.err = string(rest[:len(rest)-len(after)])
			rest = after
		default:
			c.reply.elements = append(c.reply.elements, rest[1:len(rest)-len(after)-2])
			rest = after
		}
	}
	c.at = c.end - len(rest)
	return &c.reply, nil
}

// head reads the first line of a reply: its number, unless the line is a text.
func head(bytesOf []byte) (number int, after []byte, ok bool, err error) {
	line := bytes.IndexByte(bytesOf, '\n')
	if line < 0 {
		return 0, nil, false, nil
	}
	after = bytesOf[line+1:]
	if kind := bytesOf[0]; kind == '*' || kind == '$' || kind == ':' {
		number, err = strconv.Atoi(string(bytesOf[1 : line-1]))
	} else if kind != '+' && kind != '-' {
		err = fmt.Errorf("not a reply of Redis: %q", bytesOf[:line])
	}
	return number, after, true, err
}

// call sends commands and waits for the replies; an error reply is an error.
func (c *respConn) call(commands []byte, replies int) (last string, err error) {
	c.out = append(c.out, commands...)
	if err := c.flush(); err != nil {
		return "", err
	}
	for replies > 0 {
		reply, err := c.next()
		if err != nil {
			return "", err
		}
		if reply == nil {
			if err := c.fill(); err != nil {
				return "", err
			}
			continue
		}
		if reply.err != "" {
			return "", fmt.Errorf("redis: %s", reply.err)
		}
		replies--
		if len(reply.elements) > 0 {
			last = string(reply.elements[0])
		}
	}
	return last, nil
}
