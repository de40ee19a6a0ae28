package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pb "example.org/splitcache-example/splitcachev1"
)

const (
	firstPause   = 100 * time.Millisecond
	longestPause = time.Second
)

// follow follows what changed, as a worker does, for ever, and misses nothing.
func follow(ctx context.Context, c *cache) error {
	var applied *pb.Position
	for pause := firstPause; ctx.Err() == nil; pause = min(2*pause, longestPause) {
		heard, err := subscription(ctx, c, &applied)
		var two twoSidecars
		if errors.As(err, &two) {
			return err
		}
		if ctx.Err() != nil {
			break
		}
		fmt.Println("disconnected", code(err))
		if heard {
			pause = firstPause
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
	return nil
}

// subscription follows one stream to its end, and says whether anything came.
func subscription(ctx context.Context, c *cache, applied **pb.Position) (heard bool, err error) {
	if err := c.declare(ctx); err != nil {
		return false, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	request := &pb.SubscribeRequest{Homeserver: c.homeserver, ResumeAfter: *applied, Subscriber: "example"}
	stream, err := c.Subscribe(ctx, request)
	if err != nil {
		return false, err
	}
	// Who has heard nothing for a lease may have missed a change, and serves nothing that it
	// holds until it has resumed.
	lease := 5 * time.Second
	silence := time.AfterFunc(lease, cancel)
	defer silence.Stop()
	for {
		frame, err := stream.Recv()
		if err != nil {
			return heard, err
		}
		heard = true
		position := apply(frame)
		if position != nil {
			if err := c.see(position); err != nil {
				return heard, err
			}
			*applied = position
		}
		if told := leaseOf(frame); told > 0 {
			lease = told
		}
		silence.Reset(lease)
		if err := c.declare(ctx); err != nil {
			return heard, err
		}
	}
}

// apply applies one frame, and returns where the subscriber stands after it.
func apply(frame *pb.SubscribeResponse) *pb.Position {
	switch is := frame.GetFrame().(type) {
	case *pb.SubscribeResponse_Ready:
		fmt.Printf("ready %s resumed=%t\n", show(is.Ready.GetPosition()), is.Ready.GetResumed())
		return is.Ready.GetPosition()
	case *pb.SubscribeResponse_Reset_:
		// Here a client drops everything that it holds for the homeserver.
		fmt.Println("reset", show(is.Reset_.GetPosition()), word(is.Reset_.GetReason(), "RESET_REASON_"))
		return is.Reset_.GetPosition()
	case *pb.SubscribeResponse_Batch:
		for _, notice := range is.Batch.GetNotices() {
			fmt.Println("notice", notice.GetSequence(), describe(notice))
		}
		return is.Batch.GetToInclusive()
	case *pb.SubscribeResponse_Progress:
		return is.Progress.GetPosition()
	case *pb.SubscribeResponse_GoingAway:
		fmt.Println("going away")
	}
	// A frame that this client does not know is skipped.
	return nil
}

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
		// A change that this client does not know may be anything.
		words = []string{"homeserver_purged"}
	}
	return strings.Join(words, " ")
}

func leaseOf(frame *pb.SubscribeResponse) time.Duration {
	if ready := frame.GetReady(); ready != nil {
		return ready.GetLeaseDuration().AsDuration()
	}
	return frame.GetReset_().GetLeaseDuration().AsDuration()
}

func orDash(roomID string) string {
	if roomID == "" {
		return "-"
	}
	return roomID
}

func code(err error) string {
	if status.Code(err) == codes.Unavailable {
		return "UNAVAILABLE"
	}
	return strings.ToUpper(status.Code(err).String())
}
