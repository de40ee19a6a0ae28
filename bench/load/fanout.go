package main

import (
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// Fan-out: notices of one homeserver, each of which reaches every subscriber. A notice carries
// the time at which it was published, so that each delivery has a latency. The publisher
// waits for deliveries when it is far ahead: no server queues without bound.

const (
	publishedAheadMax = 64
	stampBytes        = 19 // Of nanoseconds since 1970.
	channel           = "alpha.example"
	fanOutRoom        = "!fan-out:alpha.example"
)

type fanOut struct {
	shared      *counters
	subscribers int
	ready       sync.WaitGroup
	published   atomic.Uint64
	delivered   atomic.Uint64
}

func measureFanOut(what spec) (result, error) {
	run := &fanOut{shared: newCounters(), subscribers: what.Subscribers}
	subscribe, open := run.subscribeSidecar, openPublishLink
	if what.Workload == "redis-fan-out" {
		subscribe, open = run.subscribeRedis, openRedisPublishLink
	}
	histograms := make([]histogram, what.Subscribers)
	run.ready.Add(what.Subscribers)
	closers := make([]func(), 0, what.Subscribers)
	var ends sync.WaitGroup
	for n := range what.Subscribers {
		follow, stop, err := subscribe(what.Address, run.deliver(&histograms[n]))
		if err != nil {
			return result{}, err
		}
		closers = append(closers, stop)
		ends.Add(1)
		go func() {
			defer ends.Done()
			if err := follow(); err != nil && !run.shared.stopped.Load() {
				run.shared.fail(fmt.Errorf("a subscriber: %w", err))
			}
		}()
	}
	run.ready.Wait()
	loop := newPublishLoop(run, what)
	published, err := run.publish(loop, what, open)
	for _, stop := range closers {
		stop()
	}
	ends.Wait()
	if err != nil {
		return result{}, fmt.Errorf("%s: %w", what.Workload, err)
	}
	total := &histogram{}
	for at := range histograms {
		total.merge(&histograms[at])
	}
	published.setLatencies(total)
	return published, nil
}

func newPublishLoop(run *fanOut, what spec) *readLoop {
	loop := &readLoop{
		shared: run.shared,
		pool:   make([]operation, 1),
		sentAt: make([]time.Time, what.InFlight),
		// Latencies count from publisher to subscriber, not to the reply.
		latencies: &histogram{},
		paced:     what.Rate > 0,
	}
	if loop.paced {
		loop.pause = time.Duration(float64(time.Second) / what.Rate)
	}
	return loop
}

func (f *fanOut) publish(loop *readLoop, what spec, open func(*fanOut, linkOptions) (link, error)) (result, error) {
	opened, err := open(f, linkOptions{address: what.Address, done: loop.done})
	if err != nil {
		return result{}, err
	}
	loop.link = opened
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := loop.run(); err != nil && !f.shared.stopped.Load() {
			f.shared.fail(fmt.Errorf("the publisher: %w", err))
		}
	}()
	measured, err := f.shared.measure(what)
	f.shared.stopped.Store(true)
	opened.close()
	<-ended
	if err == nil {
		err = f.shared.failure
	}
	return measured, err
}

// deliver counts a notice that reached a subscriber.
func (f *fanOut) deliver(latencies *histogram) func(id []byte) error {
	return func(id []byte) error {
		f.shared.events.Add(1)
		f.delivered.Add(1)
		if !f.shared.recording.Load() {
			return nil
		}
		stamp, err := strconv.ParseInt(string(id[:min(len(id), stampBytes)]), 10, 64)
		if err != nil {
			return fmt.Errorf("a notice without a time: %w", err)
		}
		latencies.add(time.Duration(time.Now().UnixNano() - stamp))
		return nil
	}
}

// waitForDeliveries holds the publisher back while it is far ahead of the subscribers.
func (f *fanOut) waitForDeliveries() {
	ahead := uint64(f.subscribers) * publishedAheadMax
	for f.subscribers > 0 && f.published.Load()*uint64(f.subscribers) > f.delivered.Load()+ahead {
		if f.shared.stopped.Load() {
			return
		}
		time.Sleep(50 * time.Microsecond)
	}
	f.published.Add(1)
}

// stamp is an ID that begins with the time.
func stamp() string {
	return strconv.FormatInt(time.Now().UnixNano(), 10) + ":padded-to-the-length-of-an-ID"
}

func (f *fanOut) subscribeSidecar(address string, deliver func([]byte) error) (follow func() error, stop func(), err error) {
	conn, err := dialHTTP2(address)
	if err != nil {
		return nil, nil, err
	}
	isReady := false
	to := conn.open(service+"Subscribe", func(message []byte) error {
		return eachField(message, func(field int, _ uint64, frame []byte) error {
			switch field {
			case 1:
				isReady = true
				f.ready.Done()
			case 2, 5:
				return fmt.Errorf("a frame of kind %d", field)
			case 3:
				return eachNotice(frame, deliver)
			}
			return nil
		})
	}, func(status string) error {
		return fmt.Errorf("the subscription ended with status %q", status)
	})
	conn.send(to, grpcFrame(appendString(nil, 1, channel)), true)
	return func() error {
		err := followAll(conn)
		if !isReady {
			f.ready.Done()
		}
		return err
	}, conn.close, nil
}

func followAll(conn *http2Conn) error {
	for {
		if err := conn.flush(); err != nil {
			return err
		}
		if err := conn.fill(); err != nil {
			return err
		}
		if err := conn.handle(); err != nil {
			return err
		}
	}
}

// eachNotice calls deliver with the first event ID of each notice of a batch.
func eachNotice(batch []byte, deliver func([]byte) error) error {
	return eachField(batch, func(field int, _ uint64, notice []byte) error {
		if field != 3 {
			return nil
		}
		return eachField(notice, func(field int, _ uint64, change []byte) error {
			if field != 4 {
				return nil
			}
			return eachField(change, func(field int, _ uint64, id []byte) error {
				if field != 2 {
					return nil
				}
				return deliver(id)
			})
		})
	})
}

func (f *fanOut) subscribeRedis(address string, deliver func([]byte) error) (follow func() error, stop func(), err error) {
	conn, err := dialRESP(address)
	if err != nil {
		return nil, nil, err
	}
	conn.out = appendCommand(conn.out, "SUBSCRIBE", channel)
	isReady := false
	return func() error {
		defer func() {
			if !isReady {
				f.ready.Done()
			}
		}()
		if err := conn.flush(); err != nil {
			return err
		}
		for {
			reply, err := conn.next()
			if err != nil {
				return err
			}
			if reply == nil {
				if err := conn.fill(); err != nil {
					return err
				}
				continue
			}
			if !isReady {
				isReady = true
				f.ready.Done()
				continue
			}
			if len(reply.elements) != 3 {
				return fmt.Errorf("a message with %d parts: %s", len(reply.elements), reply.err)
			}
			if err := deliver(reply.elements[2]); err != nil {
				return err
			}
		}
	}, conn.close, nil
}

type publishLink struct {
	callLink
	fanOut *fanOut
}

func openPublishLink(of *fanOut, options linkOptions) (link, error) {
	conn, err := dialHTTP2(options.address)
	return &publishLink{callLink{http2Conn: conn, options: options}, of}, err
}

func (l *publishLink) queue(slot int, do *operation) error {
	l.fanOut.waitForDeliveries()
	message := grpcFrame(encodeInvalidateEvents(channel, fanOutRoom, stamp()))
	l.call("InvalidateEvents", message, func([]byte) error { return nil }, func() error {
		return l.options.done(slot, do)
	})
	return nil
}

type redisPublishLink struct {
	redisLink
	fanOut *fanOut
}

func openRedisPublishLink(of *fanOut, options linkOptions) (link, error) {
	conn, err := dialRESP(options.address)
	return &redisPublishLink{redisLink{respConn: conn, options: options, answer: answerPublish(of)}, of}, err
}

func (l *redisPublishLink) queue(slot int, do *operation) error {
	l.fanOut.waitForDeliveries()
	l.out = appendCommand(l.out, "PUBLISH", channel, stamp())
	l.inOrder = append(l.inOrder, inFlight{slot: slot, do: do})
	return nil
}

func answerPublish(of *fanOut) func(*redisLink, *operation, *respReply) (bool, error) {
	return func(_ *redisLink, _ *operation, reply *respReply) (bool, error) {
		if reached := string(reply.elements[0]); reached != strconv.Itoa(of.subscribers) {
			return true, fmt.Errorf("a message reached %s of %d subscribers", reached, of.subscribers)
		}
		return true, nil
	}
}
