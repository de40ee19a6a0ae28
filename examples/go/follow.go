package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	pb "example.org/splitcache-example/splitcachev1"
)

const (
	firstPause   = 100 * time.Millisecond
	longestPause = time.Second
	// Until the stream names it.
	defaultSilenceLimit = 5 * time.Second
)

// A listener does something about the frames. Its methods are called in one goroutine.
type listener interface {
	// began takes Ready or Reset. Unless it resumed, drop everything that is kept.
	began(frame *pb.SubscribeResponse, position *pb.Position) error
	// changed drops what the notice names.
	changed(notice *pb.Notice)
	// applied: all notices up to here were handed over.
	applied(position *pb.Position) error
	goingAway()
	disconnected(err error)
}

// follow follows what changes until ctx ends, and misses nothing.
func follow(ctx context.Context, c *cache, to listener) error {
	var applied *pb.Position
	for pause := firstPause; ctx.Err() == nil; pause = min(2*pause, longestPause) {
		received, err := subscription(ctx, c, to, &applied)
		var two twoSidecars
		if errors.As(err, &two) {
			return err
		}
		if ctx.Err() != nil {
			break
		}
		to.disconnected(err)
		if received {
			pause = firstPause
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
	return nil
}

// subscription follows one stream to its end, and says whether any frame came.
func subscription(ctx context.Context, c *cache, to listener, applied **pb.Position) (received bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	request := &pb.SubscribeRequest{Homeserver: c.homeserver, ResumeAfter: *applied, Subscriber: "example"}
	stream, err := c.Subscribe(ctx, request)
	if err != nil {
		return false, err
	}
	// A stream on which no frame has come for the silence limit may be cut off. It ends, and the
	// subscriber resumes on a new one.
	limit := defaultSilenceLimit
	silence := time.AfterFunc(limit, cancel)
	defer silence.Stop()
	for {
		frame, err := stream.Recv()
		if err != nil {
			return received, err
		}
		received = true
		if named := silenceLimit(frame); named > 0 {
			limit = named
		}
		silence.Reset(limit)
		position, err := handOver(frame, to)
		if err != nil {
			return received, err
		}
		if position != nil {
			*applied = position
		}
	}
}

// handOver hands over one frame, and returns where the subscriber stands after it.
func handOver(frame *pb.SubscribeResponse, to listener) (*pb.Position, error) {
	var position *pb.Position
	switch is := frame.GetFrame().(type) {
	case *pb.SubscribeResponse_Ready:
		position = is.Ready.GetPosition()
		if err := to.began(frame, position); err != nil {
			return nil, err
		}
	case *pb.SubscribeResponse_Reset_:
		position = is.Reset_.GetPosition()
		if err := to.began(frame, position); err != nil {
			return nil, err
		}
	case *pb.SubscribeResponse_Batch:
		position = is.Batch.GetToInclusive()
		for _, notice := range is.Batch.GetNotices() {
			to.changed(notice)
		}
	case *pb.SubscribeResponse_Progress:
		position = is.Progress.GetPosition()
	case *pb.SubscribeResponse_GoingAway:
		to.goingAway()
		return nil, nil
	default:
		// A client skips a frame that it does not know.
		return nil, nil
	}
	return position, to.applied(position)
}

func silenceLimit(frame *pb.SubscribeResponse) time.Duration {
	if ready := frame.GetReady(); ready != nil {
		return ready.GetSilenceLimit().AsDuration()
	}
	return frame.GetReset_().GetSilenceLimit().AsDuration()
}

// printer is the listener of a client that keeps nothing and has no database, such as a bot.
type printer struct{ epochs epochs }

func (p *printer) began(frame *pb.SubscribeResponse, position *pb.Position) error {
	if err := p.epochs.see(position); err != nil {
		return err
	}
	if ready := frame.GetReady(); ready != nil {
		fmt.Printf("ready %s resumed=%t\n", show(position), ready.GetResumed())
	} else {
		fmt.Println("reset", show(position), word(frame.GetReset_().GetReason(), "RESET_REASON_"))
	}
	return nil
}

func (p *printer) changed(notice *pb.Notice) {
	fmt.Println("notice", notice.GetSequence(), describe(notice))
}

func (p *printer) applied(position *pb.Position) error { return p.epochs.see(position) }

func (p *printer) goingAway() { fmt.Println("going away") }

func (p *printer) disconnected(err error) { fmt.Println("disconnected", code(err)) }

func describe(notice *pb.Notice) string {
	var words []string
	switch is := notice.GetChange().(type) {
	case *pb.Notice_EventRedacted:
		change := is.EventRedacted
		words = []string{"event_redacted", orDash(change.GetRoomId()), change.GetEventId(), change.GetRedactedBy()}
	case *pb.Notice_EventRejected:
		change := is.EventRejected
		words = []string{"event_rejected", orDash(change.GetRoomId()), change.GetEventId(), fmt.Sprint(change.GetRejected())}
	case *pb.Notice_EventsInvalidated:
		change := is.EventsInvalidated
		words = append([]string{"events_invalidated", orDash(change.GetRoomId())}, change.GetEventIds()...)
	case *pb.Notice_RoomPurged:
		words = []string{"room_purged", is.RoomPurged.GetRoomId()}
	default:
		// A change that this client does not know may be of everything.
		words = []string{"homeserver_purged"}
	}
	return strings.Join(words, " ")
}

func orDash(roomID string) string {
	if roomID == "" {
		return "-"
	}
	return roomID
}
