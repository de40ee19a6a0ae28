package main

import (
	"fmt"
	"math/rand/v2"
)

// An operation is one read, or one write: an invalidation of an event and its put.
type operation struct {
	wire       []byte // The read as the server's protocol frames it.
	homeserver string
	events     []*event // In request order; nil for an ID that nothing has.
	ids        []string
	known      int
	bodyBytes  int // Of the known events.
	written    *event
}

// Which reads a workload makes.
type readShape struct {
	ids         int // 0: the recorded mix.
	homeservers int
	events      int
	hitShare    float64
	writeShare  float64
}

const (
	poolBytes = 4 << 20
	poolMin   = 256
	poolMax   = 16_384
	idBytes   = 46
	// No request of the contract has more.
	idsMax = 500
)

// makeOperations draws the operations of a workload. Each server gets the same ones, as the seed is fixed.
func makeOperations(from *corpus, shape readShape, encode func(homeserver string, ids []string) []byte) []operation {
	random := rand.New(rand.NewPCG(1, uint64(shape.ids)))
	meanIDs := max(shape.ids, 4)
	pool := make([]operation, min(poolMax, max(poolMin, poolBytes/(meanIDs*idBytes))))
	for at := range pool {
		each := &pool[at]
		each.homeserver = homeserverName(random.IntN(shape.homeservers))
		if random.Float64() < shape.writeShare {
			each.written = &from.events[random.IntN(shape.events)]
			continue
		}
		count := shape.ids
		if count == 0 {
			count = min(idsMax, from.batchSizes[random.IntN(len(from.batchSizes))])
		}
		for range count {
			n := random.IntN(shape.events)
			if random.Float64() >= shape.hitShare {
				each.ids = append(each.ids, eventID(-1-n))
				each.events = append(each.events, nil)
				continue
			}
			each.ids = append(each.ids, from.events[n].id)
			each.events = append(each.events, &from.events[n])
			each.known++
			each.bodyBytes += len(from.events[n].recorded.body)
		}
		each.wire = encode(each.homeserver, each.ids)
	}
	return pool
}

func homeserverName(n int) string {
	if n == 0 {
		return "alpha.example"
	}
	return fmt.Sprintf("h%d.example", n)
}

// check compares what a reply held with what was asked. Beside writes an event may be missing for a moment.
func (o *operation) check(hits, missing, bodyBytes int, besideWrites bool) error {
	if hits+missing != len(o.ids) {
		return fmt.Errorf("%d hits and %d missing for %d IDs", hits, missing, len(o.ids))
	}
	if !besideWrites && (hits != o.known || bodyBytes != o.bodyBytes) {
		return fmt.Errorf("%d hits with %d bytes of bodies instead of %d with %d", hits, bodyBytes, o.known, o.bodyBytes)
	}
	return nil
}
