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
	// Every call has a deadline: a cache that does not answer must not hold up its user.
	deadline        = time.Second
	attempts        = 5
	requestBytesMax = 4_000_000
	eventsMax       = 500
)

// twoSidecars is the epoch that was replaced and came back: two sidecars answer at this address.
// They do not hear each other's changes, so this client must stop using the cache.
type twoSidecars string

func (epoch twoSidecars) Error() string {
	return fmt.Sprintf("two sidecars: %x came back", string(epoch))
}

// cache makes the calls, with what each client has to see to.
type cache struct {
	pb.EventCacheServiceClient
	connection *grpc.ClientConn
	homeserver string
	writers    []string
	epoch      string
	declaredIn string
	past       map[string]bool
}

func connect(address, homeserver string, writers []string) (*cache, error) {
	// A sidecar is near: no proxy that the environment names stands in between.
	connection, err := grpc.NewClient(address, grpc.WithNoProxy(),
		grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return nil, err
	}
	client := pb.NewEventCacheServiceClient(connection)
	return &cache{client, connection, homeserver, writers, "", "", map[string]bool{}}, nil
}

func (c *cache) close() { _ = c.connection.Close() }

type reply interface{ GetPosition() *pb.Position }

// call makes one call. Each may be repeated: at worst a repeat turns a hit into a miss.
func call[Request any, Reply reply](
	ctx context.Context, c *cache,
	method func(context.Context, Request, ...grpc.CallOption) (Reply, error), request Request,
) (Reply, error) {
	for attempt := 1; ; attempt++ {
		limited, cancel := context.WithTimeout(ctx, deadline)
		answer, err := method(limited, request)
		cancel()
		if err == nil {
			return answer, c.see(answer.GetPosition())
		}
		if status.Code(err) != codes.Unavailable || attempt == attempts {
			return answer, err
		}
		time.Sleep(25 * time.Millisecond << attempt)
	}
}

// see is passed every position that comes.
func (c *cache) see(position *pb.Position) error {
	epoch := string(position.GetEpoch())
	if epoch == c.epoch {
		return nil
	}
	if c.past[epoch] {
		return twoSidecars(epoch)
	}
	if c.epoch != "" {
		c.past[c.epoch] = true
	}
	c.epoch = epoch
	return nil
}

// declare names the homeserver's writers, at the start and in each new epoch. Until then a reply
// from that epoch counts as a miss.
func (c *cache) declare(ctx context.Context) error {
	if len(c.writers) == 0 || c.declaredIn != "" && c.declaredIn == c.epoch {
		return nil
	}
	request := &pb.DeclareWritersRequest{Homeserver: c.homeserver, Writers: c.writers}
	declared, err := call(ctx, c, c.DeclareWriters, request)
	if err != nil {
		return err
	}
	c.declaredIn = string(declared.GetPosition().GetEpoch())
	fmt.Printf("declared %s in %x\n", strings.Join(c.writers, ","), c.declaredIn)
	return nil
}

type lookup struct {
	hits      []*pb.CachedEvent
	missing   []string
	truncated int
	// From before the lookup: what is missing is read from the database after it.
	position *pb.Position
}

func (c *cache) get(ctx context.Context, view pb.RedactionView, eventIDs ...string) (lookup, error) {
	var found lookup
	for wanted := eventIDs; ; {
		request := &pb.GetEventsRequest{Homeserver: c.homeserver, EventIds: wanted, RedactionView: view}
		answer, err := call(ctx, c, c.GetEvents, request)
		if err != nil {
			return found, err
		}
		found.hits = append(found.hits, answer.GetEvents()...)
		found.missing = append(found.missing, answer.GetMissingEventIds()...)
		if found.position == nil {
			found.position = answer.GetPosition()
			found.truncated = len(answer.GetTruncatedEventIds())
		}
		// What did not fit into the reply is asked for again.
		if wanted = answer.GetTruncatedEventIds(); len(wanted) == 0 {
			return found, nil
		}
	}
}

// put puts what the database showed after asOf. A request has at most 4 MiB.
func (c *cache) put(ctx context.Context, asOf *pb.Position, events ...*pb.CachedEvent) ([]pb.PutOutcome, error) {
	var outcomes []pb.PutOutcome
	for len(events) > 0 {
		size, n := 0, 0
		for n < len(events) && n < eventsMax && (n == 0 || size+proto.Size(events[n]) < requestBytesMax) {
			size += proto.Size(events[n]) + 8
			n++
		}
		request := &pb.PutEventsRequest{Homeserver: c.homeserver, Events: events[:n], AsOf: asOf}
		answer, err := call(ctx, c, c.PutEvents, request)
		if err != nil {
			return outcomes, err
		}
		outcomes, events = append(outcomes, answer.GetOutcomes()...), events[n:]
	}
	return outcomes, nil
}

func show(position *pb.Position) string {
	return fmt.Sprintf("%s:%d", hex.EncodeToString(position.GetEpoch()), position.GetSequence())
}

func word(value fmt.Stringer, prefix string) string {
	return strings.ToLower(strings.TrimPrefix(value.String(), prefix))
}
