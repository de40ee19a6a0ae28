package main

import (
	"fmt"
	"math/rand/v2"
)

const putBatches = 64

// randomBatches draws what the puts store. Every server gets the same batches.
func randomBatches(from *corpus, what spec) [][]event {
	random := rand.New(rand.NewPCG(2, uint64(what.Batch)))
	batches := make([][]event, putBatches)
	for at := range batches {
		for range what.Batch {
			batches[at] = append(batches[at], from.events[random.IntN(what.Events)])
		}
	}
	return batches
}

// measurePuts replaces events that are stored, in batches.
func measurePuts(from *corpus, what spec) (result, error) {
	batches := randomBatches(from, what)
	pool := make([]operation, len(batches))
	var asOf []byte
	if what.Workload == "puts" {
		conn, err := dialHTTP2(what.Address)
		if err != nil {
			return result{}, err
		}
		defer conn.close()
		if asOf, err = conn.position(homeserverName(0)); err != nil {
			return result{}, err
		}
	}
	for at, batch := range batches {
		pool[at].ids = make([]string, len(batch))
		pool[at].homeserver = homeserverName(0)
		if what.Workload == "puts" {
			pool[at].wire = grpcFrame(encodePutEvents(homeserverName(0), batch, asOf))
		} else {
			pool[at].wire = appendPut(nil, homeserverName(0), batch)
		}
	}
	open := openPutLink
	if what.Workload == "redis-puts" {
		open = openRedisPutLink
	}
	return runReads(pool, what, open)
}

type putLink struct{ callLink }

func openPutLink(options linkOptions) (link, error) {
	conn, err := dialHTTP2(options.address)
	return &putLink{callLink{http2Conn: conn, options: options}}, err
}

func (l *putLink) queue(slot int, do *operation) error {
	l.call("PutEvents", do.wire, func(message []byte) error {
		return eachField(message, func(field int, _ uint64, outcomes []byte) error {
			if field != 1 {
				return nil
			}
			for _, outcome := range outcomes {
				const stored = 1
				if outcome != stored {
					return fmt.Errorf("a put with outcome %d", outcome)
				}
			}
			if len(outcomes) != len(do.ids) {
				return fmt.Errorf("%d outcomes for %d events", len(outcomes), len(do.ids))
			}
			return nil
		})
	}, func() error { return l.options.done(slot, do) })
	return nil
}

// redisPutLink sends one MSET and an HSET for each event in one write; each has a reply.
type redisPutLink struct{ redisLink }

func openRedisPutLink(options linkOptions) (link, error) {
	conn, err := dialRESP(options.address)
	return &redisPutLink{redisLink{respConn: conn, options: options}}, err
}

func (l *redisPutLink) queue(slot int, do *operation) error {
	l.out = append(l.out, do.wire...)
	l.inOrder = append(l.inOrder, inFlight{slot: slot, do: do, seen: 1 + len(do.ids)})
	return nil
}

func (l *redisPutLink) handle() error {
	for len(l.inOrder) > 0 {
		reply, err := l.next()
		if err != nil || reply == nil {
			return err
		}
		if reply.err != "" {
			return fmt.Errorf("redis: %s", reply.err)
		}
		oldest := &l.inOrder[0]
		oldest.seen--
		if oldest.seen > 0 {
			continue
		}
		finished := *oldest
		l.inOrder = append(l.inOrder[:0], l.inOrder[1:]...)
		if err := l.options.done(finished.slot, finished.do); err != nil {
			return err
		}
	}
	return nil
}
