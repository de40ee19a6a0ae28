package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"strings"

	"golang.org/x/net/http2/hpack"
)

// A lean HTTP/2 client for gRPC. One goroutine owns a connection: it queues
// requests, flushes them in one write, and handles all frames that one read brought.

const (
	frameData, frameHeaders, frameReset, frameSettings        = 0, 1, 3, 4
	framePing, frameGoAway, frameWindowUpdate, frameContinued = 6, 7, 8, 9

	flagAck, flagEndStream, flagEndHeaders, flagPadded, flagPriority = 1, 1, 4, 8, 32

	frameHeadBytes    = 9
	frameBytesMax     = 16_384
	defaultWindow     = 65_535
	receiveWindow     = 1 << 30
	windowUpdateAfter = 1 << 26
	settingWindow     = 4
)

type stream struct {
	id         uint32
	sendWindow int
	waiting    []byte // What the window did not allow yet.
	ends       bool   // The waiting bytes are the last.
	partial    []byte // The begun message.
	received   int
	onMessage  func(message []byte) error
	onEnd      func(status string) error
}

type http2Conn struct {
	socket      net.Conn
	authority   string
	in          []byte
	inEnd       int
	out         []byte
	headerBlock bytes.Buffer
	encoder     *hpack.Encoder
	decoder     *hpack.Decoder
	status      string
	detail      string
	streams     map[uint32]*stream
	nextID      uint32
	sendWindow  int
	peerWindow  int
	received    int
	blocked     []*stream
}

func dial(address string) (net.Conn, error) {
	if path, isUnix := strings.CutPrefix(address, "unix:"); isUnix {
		return net.Dial("unix", path)
	}
	return net.Dial("tcp", address)
}

func dialHTTP2(address string) (*http2Conn, error) {
	socket, err := dial(address)
	if err != nil {
		return nil, err
	}
	conn := &http2Conn{
		socket:     socket,
		authority:  "localhost",
		in:         make([]byte, 1<<18),
		streams:    map[uint32]*stream{},
		nextID:     1,
		sendWindow: defaultWindow,
		peerWindow: defaultWindow,
	}
	conn.encoder = hpack.NewEncoder(&conn.headerBlock)
	conn.decoder = hpack.NewDecoder(4096, func(field hpack.HeaderField) {
		switch field.Name {
		case "grpc-status":
			conn.status = field.Value
		case "grpc-message":
			conn.detail = field.Value
		}
	})
	conn.out = append(conn.out, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"...)
	conn.appendFrameHead(6, frameSettings, 0, 0)
	conn.out = binary.BigEndian.AppendUint16(conn.out, settingWindow)
	conn.out = binary.BigEndian.AppendUint32(conn.out, receiveWindow)
	conn.appendWindowUpdate(0, receiveWindow)
	return conn, conn.flush()
}

func (c *http2Conn) close() { c.socket.Close() }

// open begins a gRPC call; its messages follow with send.
func (c *http2Conn) open(path string, onMessage func([]byte) error, onEnd func(string) error) *stream {
	opened := &stream{id: c.nextID, sendWindow: c.peerWindow, onMessage: onMessage, onEnd: onEnd}
	c.nextID += 2
	c.streams[opened.id] = opened
	c.headerBlock.Reset()
	for _, field := range [...]hpack.HeaderField{
		{Name: ":method", Value: "POST"},
		{Name: ":scheme", Value: "http"},
		{Name: ":path", Value: path},
		{Name: ":authority", Value: c.authority},
		{Name: "content-type", Value: "application/grpc"},
		{Name: "user-agent", Value: "bench-load"},
		{Name: "te", Value: "trailers"},
	} {
		c.encoder.WriteField(field)
	}
	c.appendFrameHead(c.headerBlock.Len(), frameHeaders, flagEndHeaders, opened.id)
	c.out = append(c.out, c.headerBlock.Bytes()...)
	return opened
}

// send queues bytes that are framed as gRPC messages already.
func (c *http2Conn) send(to *stream, message []byte, ends bool) {
	if len(to.waiting) > 0 || len(message) > min(to.sendWindow, c.sendWindow) {
		if len(to.waiting) == 0 {
			c.blocked = append(c.blocked, to)
		}
		to.waiting = append(to.waiting, message...)
		to.ends = ends
		c.sendBlocked()
		return
	}
	c.appendData(to, message, ends)
}

func (c *http2Conn) appendData(to *stream, bytes []byte, ends bool) {
	to.sendWindow -= len(bytes)
	c.sendWindow -= len(bytes)
	for {
		part := bytes[:min(len(bytes), frameBytesMax)]
		bytes = bytes[len(part):]
		flags := byte(0)
		if ends && len(bytes) == 0 {
			flags = flagEndStream
		}
		c.appendFrameHead(len(part), frameData, flags, to.id)
		c.out = append(c.out, part...)
		if len(bytes) == 0 {
			return
		}
	}
}

// sendBlocked queues as much as the windows allow of what waits.
func (c *http2Conn) sendBlocked() {
	still := c.blocked[:0]
	for _, to := range c.blocked {
		part := max(0, min(to.sendWindow, c.sendWindow, len(to.waiting)))
		if part > 0 {
			bytes := to.waiting[:part]
			to.waiting = to.waiting[part:]
			c.appendData(to, bytes, to.ends && len(to.waiting) == 0)
		}
		if len(to.waiting) > 0 {
			still = append(still, to)
		}
	}
	c.blocked = still
}

func (c *http2Conn) flush() error {
	if len(c.out) == 0 {
		return nil
	}
	_, err := c.socket.Write(c.out)
	c.out = c.out[:0]
	return err
}

// fill waits for bytes.
func (c *http2Conn) fill() error {
	count, err := c.socket.Read(c.in[c.inEnd:])
	if err != nil {
		if err == io.EOF {
			return fmt.Errorf("the server closed the connection")
		}
		return err
	}
	c.inEnd += count
	return nil
}

// handle handles each whole frame that was read.
func (c *http2Conn) handle() error {
	at := 0
	for c.inEnd-at >= frameHeadBytes {
		head := c.in[at : at+frameHeadBytes]
		size := int(head[0])<<16 | int(head[1])<<8 | int(head[2])
		if c.inEnd-at < frameHeadBytes+size {
			break
		}
		id := binary.BigEndian.Uint32(head[5:]) & 0x7fff_ffff
		payload := c.in[at+frameHeadBytes : at+frameHeadBytes+size]
		if err := c.handleFrame(head[3], head[4], id, payload); err != nil {
			return err
		}
		at += frameHeadBytes + size
	}
	copy(c.in, c.in[at:c.inEnd])
	c.inEnd -= at
	return nil
}

func (c *http2Conn) handleFrame(kind, flags byte, id uint32, payload []byte) error {
	switch kind {
	case frameData:
		return c.handleData(flags, id, payload)
	case frameHeaders:
		return c.handleHeaders(flags, id, payload)
	case frameReset:
		return c.end(id, fmt.Sprintf("reset %d", binary.BigEndian.Uint32(payload)))
	case frameSettings:
		c.handleSettings(flags, payload)
	case framePing:
		if flags&flagAck == 0 {
			c.appendFrameHead(len(payload), framePing, flagAck, 0)
			c.out = append(c.out, payload...)
		}
	case frameGoAway:
		return fmt.Errorf("GOAWAY: %q", payload)
	case frameWindowUpdate:
		added := int(binary.BigEndian.Uint32(payload))
		if id == 0 {
			c.sendWindow += added
		} else if to := c.streams[id]; to != nil {
			to.sendWindow += added
		}
		c.sendBlocked()
	case frameContinued:
		return fmt.Errorf("CONTINUATION frames are not supported")
	}
	return nil
}

func (c *http2Conn) handleSettings(flags byte, payload []byte) {
	if flags&flagAck != 0 {
		return
	}
	for ; len(payload) >= 6; payload = payload[6:] {
		if binary.BigEndian.Uint16(payload) == settingWindow {
			window := int(binary.BigEndian.Uint32(payload[2:]))
			for _, each := range c.streams {
				each.sendWindow += window - c.peerWindow
			}
			c.peerWindow = window
		}
	}
	c.appendFrameHead(0, frameSettings, flagAck, 0)
}

func (c *http2Conn) handleHeaders(flags byte, id uint32, payload []byte) error {
	if flags&flagEndHeaders == 0 || flags&(flagPadded|flagPriority) != 0 {
		return fmt.Errorf("a HEADERS frame in a form that is not supported")
	}
	c.status, c.detail = "", ""
	if _, err := c.decoder.Write(payload); err != nil {
		return err
	}
	if flags&flagEndStream != 0 {
		if c.status != "0" {
			c.status += " " + c.detail
		}
		return c.end(id, c.status)
	}
	return nil
}

func (c *http2Conn) end(id uint32, status string) error {
	ended := c.streams[id]
	if ended == nil {
		return nil
	}
	delete(c.streams, id)
	return ended.onEnd(status)
}

func (c *http2Conn) handleData(flags byte, id uint32, payload []byte) error {
	c.received += len(payload)
	if c.received >= windowUpdateAfter {
		c.appendWindowUpdate(0, c.received)
		c.received = 0
	}
	from := c.streams[id]
	if from == nil {
		return nil
	}
	from.received += len(payload)
	if from.received >= windowUpdateAfter {
		c.appendWindowUpdate(id, from.received)
		from.received = 0
	}
	if err := from.take(payload); err != nil {
		return err
	}
	if flags&flagEndStream != 0 {
		return c.end(id, "ended without a status")
	}
	return nil
}

// take hands on each whole gRPC message, and keeps the rest. A message that lies in one frame is not copied.
func (s *stream) take(payload []byte) error {
	if len(s.partial) > 0 {
		s.partial = append(s.partial, payload...)
		payload = s.partial
	}
	const headBytes = 5
	for len(payload) >= headBytes {
		size := int(binary.BigEndian.Uint32(payload[1:]))
		if len(payload) < headBytes+size {
			break
		}
		if err := s.onMessage(payload[headBytes : headBytes+size]); err != nil {
			return err
		}
		payload = payload[headBytes+size:]
	}
	s.partial = append(s.partial[:0], payload...)
	return nil
}

func (c *http2Conn) appendFrameHead(size int, kind, flags byte, id uint32) {
	c.out = append(c.out, byte(size>>16), byte(size>>8), byte(size), kind, flags)
	c.out = binary.BigEndian.AppendUint32(c.out, id)
}

func (c *http2Conn) appendWindowUpdate(id uint32, added int) {
	c.appendFrameHead(4, frameWindowUpdate, 0, id)
	c.out = binary.BigEndian.AppendUint32(c.out, uint32(added))
}
