package main

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pb "example.org/splitcache-example/splitcachev1"
)

const (
	// Short, so that a sidecar that does not answer does not delay the next poll for long.
	callTimeout = 500 * time.Millisecond
	shortPause  = 50 * time.Millisecond
)

// outbox announces what this process changes, and relays what other processes left behind.
type outbox struct {
	*gate
	cache *cache
	table outboxTable
	// Takes each position requested while the gate was open, and when it was.
	answered func(*pb.Position, time.Time)
	before   *poll
}

// announce announces a change whose COMMIT was answered. It returns true once no lookup that begins
// later is stale; false if it took too long: then readers have closed their gates, and whoever polls
// relays the row.
func (o *outbox) announce(ctx context.Context, row, text string, committedAt time.Time) bool {
	epoch, isDeleted := "", false
	for time.Since(committedAt) < writeWait && ctx.Err() == nil {
		if !isDeleted {
			epoch = o.call(ctx, text)
			if o.announced([]string{row}, epoch) {
				isDeleted, _ = o.table.delete([]string{row}, epoch)
			}
		}
		if isDeleted && o.counts(epoch) {
			return true
		}
		time.Sleep(shortPause)
	}
	return false
}

// run polls until ctx ends.
func (o *outbox) run(ctx context.Context) {
	for ctx.Err() == nil {
		next := time.Now().Add(pollInterval)
		isAgain, err := o.turn(ctx, next)
		if err != nil {
			// The gate closes by itself.
			fmt.Println("the outbox cannot be followed:", err)
		}
		if !isAgain {
			select {
			case <-ctx.Done():
			case <-time.After(max(shortPause, time.Until(next))):
			}
		}
	}
}

// turn polls, and does what is most urgent. It says whether the next turn is due at once.
func (o *outbox) turn(ctx context.Context, endsAt time.Time) (isAgain bool, err error) {
	shown, err := o.table.poll()
	if err != nil {
		return false, err
	}
	before := o.before
	o.before = &shown
	o.learn(shown)
	if before == nil || shown.epoch != before.epoch {
		fmt.Println("registered", orNoEpoch(shown.epoch))
	}
	if o.mustPurge() {
		// The cache may hold what this database has never held, or holds no more.
		return o.beginEpoch(ctx, shown)
	}
	epoch := o.requestPosition(ctx)
	if epoch != "" && epoch != shown.epoch {
		// It is used from the next poll on, which shows it.
		if isRegistered, err := o.table.register(epoch, shown); isRegistered || err != nil {
			return isRegistered, err
		}
	}
	if o.isEpochSilent() {
		return o.beginEpoch(ctx, shown)
	}
	isHeard := epoch != "" && epoch == shown.epoch
	// One process that raises them is enough.
	err = o.table.raiseCounters(before == nil || shown.counter == before.counter,
		isHeard && (before == nil || shown.heard == before.heard), shown.epoch)
	if err == nil && isHeard {
		err = o.relay(ctx, shown, endsAt)
	}
	return false, err
}

func (o *outbox) beginEpoch(ctx context.Context, shown poll) (bool, error) {
	epoch := o.purge(ctx, true)
	if epoch == "" {
		return false, nil
	}
	isRegistered, err := o.table.register(epoch, shown)
	if isRegistered {
		o.purged()
	}
	return isRegistered, err
}

func (o *outbox) requestPosition(ctx context.Context) string {
	isOpen, sentAt := o.isOpen(), time.Now()
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	reply, err := o.cache.GetEvents(ctx, &pb.GetEventsRequest{Homeserver: o.cache.homeserver})
	if err != nil {
		return ""
	}
	if isOpen {
		o.answered(reply.GetPosition(), sentAt)
	}
	return epochOf(reply.GetPosition())
}

func (o *outbox) relay(ctx context.Context, shown poll, endsAt time.Time) error {
	if len(shown.rows) > rowsMax {
		if epoch := o.purge(ctx, false); o.announced(shown.rows, epoch) {
			_, err := o.table.delete(shown.rows, epoch)
			return err
		}
		return nil
	}
	relayed := 0
	for _, row := range o.overdue() {
		text, err := o.table.announcement(row)
		if err != nil {
			return err
		}
		// A row that is gone was relayed by another process.
		if text != "" {
			if !o.announced([]string{row}, o.call(ctx, text)) {
				break
			}
			relayed++
		}
		if time.Now().After(endsAt) {
			break
		}
	}
	rows := o.deletable()
	if len(rows) == 0 {
		return nil
	}
	isDeleted, err := o.table.delete(rows, shown.epoch)
	if isDeleted && relayed > 0 {
		fmt.Println("relayed", relayed)
	}
	return err
}

// call announces what a row says. It returns the epoch in which all calls were answered OK, if it is
// one.
func (o *outbox) call(ctx context.Context, text string) string {
	what, isKnown := parse(text)
	if !isKnown || what.Homeserver {
		return o.purge(ctx, false)
	}
	epoch := ""
	for _, request := range what.requests(o.cache.homeserver) {
		position, err := send(ctx, o.cache, request)
		if status.Code(err) == codes.InvalidArgument {
			// It would be refused each time. A purge covers it.
			return o.purge(ctx, false)
		}
		if err != nil || epoch != "" && epoch != epochOf(position) {
			return ""
		}
		epoch = epochOf(position)
	}
	if epoch == "" {
		// What says nothing may concern everything.
		return o.purge(ctx, false)
	}
	return epoch
}

func (o *outbox) purge(ctx context.Context, newEpoch bool) string {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	request := &pb.PurgeHomeserverRequest{Homeserver: o.cache.homeserver, NewEpoch: newEpoch}
	reply, err := o.cache.PurgeHomeserver(ctx, request)
	if err != nil {
		return ""
	}
	return epochOf(reply.GetPosition())
}

func orNoEpoch(epoch string) string {
	if epoch == "" {
		return "no epoch"
	}
	return epoch
}
