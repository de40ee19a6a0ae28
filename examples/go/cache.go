package main

import (
	"context"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	pb "example.org/splitcache-example/splitcachev1"
)

const (
	// Every call has a deadline: a cache that does not answer must not delay its user.
	deadline        = time.Second
	attempts        = 5
	eventsMax       = 500
	requestBytesMax = 4_000_000
)

// twoSidecars is an epoch that came back after another one: two sidecars answer at this address.
// Neither receives the other's changes, so this client must stop using the cache.
type twoSidecars string

func (epoch twoSidecars) Error() string {
	return fmt.Sprintf("two sidecars: %s came back", string(epoch))
}

// epochs notices an epoch that comes back, in a client that has no database to register epochs in.
type epochs struct {
	current string
	past    map[string]bool
}

// see takes the position of each reply and frame, in the order in which they come.
func (e *epochs) see(position *pb.Position) error {
	epoch := epochOf(position)
	if epoch == e.current {
		return nil
	}
	if e.past[epoch] {
		return twoSidecars(epoch)
	}
	if e.current != "" {
		e.past[e.current] = true
	}
	e.current = epoch
	return nil
}

// cache makes the calls, with what each client has to do about them.
type cache struct {
	pb.EventCacheServiceClient
	connection *grpc.ClientConn
	homeserver string
}

func connect(address, homeserver string) (*cache, error) {
	// A sidecar is near: do not use the proxy that the environment names.
	connection, err := grpc.NewClient(address, grpc.WithNoProxy(),
		grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return nil, err
	}
	return &cache{pb.NewEventCacheServiceClient(connection), connection, homeserver}, nil
}

func (c *cache) close() { _ = c.connection.Close() }

// call makes one call. Each may be repeated: at worst a repeat turns a hit into a miss.
func call[Request, Reply any](
	ctx context.Context,
	method func(context.Context, Request, ...grpc.CallOption) (Reply, error), request Request,
) (Reply, error) {
	for attempt := 1; ; attempt++ {
		limited, cancel := context.WithTimeout(ctx, deadline)
		answer, err := method(limited, request)
		cancel()
		if status.Code(err) != codes.Unavailable || attempt == attempts {
			return answer, err
		}
		time.Sleep(25 * time.Millisecond << attempt)
	}
}

type lookup struct {
	hits      []*pb.CachedEvent
	missing   []string
	truncated int
	// From before the lookup: read the database after it, and fill with it. nil: fill nothing.
	position *pb.Position
}

func (c *cache) get(ctx context.Context, view pb.RedactionView, eventIDs ...string) (lookup, error) {
	var found lookup
	var first *pb.GetEventsResponse
	for wanted := eventIDs; ; {
		request := &pb.GetEventsRequest{Homeserver: c.homeserver, EventIds: wanted, RedactionView: view}
		answer, err := call(ctx, c.GetEvents, request)
		if err != nil {
			return found, err
		}
		if first == nil {
			first = answer
			// A sidecar that is unverified gives no position: then there is nothing to fill with.
			found.position = answer.GetPosition()
			found.truncated = len(answer.GetTruncatedEventIds())
		}
		if epochOf(answer.GetPosition()) != epochOf(first.GetPosition()) {
			// One lookup is of one epoch.
			found.missing = append(found.missing, wanted...)
			return found, nil
		}
		found.hits = append(found.hits, answer.GetEvents()...)
		found.missing = append(found.missing, answer.GetMissingEventIds()...)
		// Ask again for what did not fit into the reply.
		if wanted = answer.GetTruncatedEventIds(); len(wanted) == 0 {
			return found, nil
		}
	}
}

// put puts what the database showed after asOf, split by number and by bytes: a request has at most
// 500 events and 4 MiB.
func (c *cache) put(ctx context.Context, asOf *pb.Position, events ...*pb.CachedEvent) ([]pb.PutOutcome, error) {
	var outcomes []pb.PutOutcome
	for len(events) > 0 {
		size, n := 0, 0
		for n < len(events) && n < eventsMax && (n == 0 || size+proto.Size(events[n]) < requestBytesMax) {
			size += proto.Size(events[n]) + 8
			n++
		}
		request := &pb.PutEventsRequest{Homeserver: c.homeserver, Events: events[:n], AsOf: asOf}
		answer, err := call(ctx, c.PutEvents, request)
		if err != nil {
			return outcomes, err
		}
		outcomes, events = append(outcomes, answer.GetOutcomes()...), events[n:]
	}
	return outcomes, nil
}

// epochOf returns the epoch in hexadecimal, as the database has it.
func epochOf(position *pb.Position) string { return hex.EncodeToString(position.GetEpoch()) }

func show(position *pb.Position) string {
	return fmt.Sprintf("%s:%d", epochOf(position), position.GetSequence())
}

func word(value fmt.Stringer, prefix string) string {
	return strings.ToLower(strings.TrimPrefix(value.String(), prefix))
}

func code(err error) string {
	if status.Code(err) == codes.Unavailable {
		return "UNAVAILABLE"
	}
	return strings.ToUpper(status.Code(err).String())
}
