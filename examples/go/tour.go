package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pb "example.org/splitcache-example/splitcachev1"
)

const (
	room      = "!room:example.org"
	one       = "$one:example.org"
	two       = "$two:example.org"
	redaction = "$redaction:example.org"

	redacted = pb.RedactionView_REDACTION_VIEW_REDACTED
	original = pb.RedactionView_REDACTION_VIEW_ORIGINAL
)

func message(eventID, text string) *pb.CachedEvent {
	// A map of strings is always encoded.
	body, _ := json.Marshal(map[string]any{"type": "m.room.message", "room_id": room, "content": map[string]string{"body": text}})
	return &pb.CachedEvent{EventId: eventID, RoomId: room, RoomVersion: "10", Body: body}
}

func tour(ctx context.Context, c *cache) error {
	before, err := fill(ctx, c)
	if err != nil {
		return err
	}
	for _, step := range []func(context.Context, *cache) error{change, readLarge} {
		if err := step(ctx, c); err != nil {
			return err
		}
	}
	// A position from before the purge: what was read then must not be put now.
	outcomes, err := c.put(ctx, before, message(one, "one"))
	if err != nil {
		return err
	}
	fmt.Println(word(outcomes[0], "PUT_OUTCOME_"), one)
	if err := fail(ctx, c); err != nil {
		return err
	}
	if err := beginEpoch(ctx, c); err != nil {
		return err
	}
	fmt.Println("done")
	return nil
}

func fill(ctx context.Context, c *cache) (*pb.Position, error) {
	start, err := c.get(ctx, redacted)
	if err != nil {
		return nil, err
	}
	fmt.Println("position", show(start.position))
	missed, err := c.get(ctx, redacted, one, two)
	if err != nil {
		return nil, err
	}
	for _, eventID := range missed.missing {
		fmt.Println("missing", eventID)
	}
	// Read the database here, not before; put what it shows with that position.
	outcomes, err := c.put(ctx, missed.position, message(one, "one"), message(two, "two"))
	if err != nil {
		return nil, err
	}
	for i, eventID := range []string{one, two} {
		fmt.Println(word(outcomes[i], "PUT_OUTCOME_"), eventID)
	}
	found, err := c.get(ctx, redacted, one, two)
	for _, event := range found.hits {
		fmt.Printf("hit %s %s\n", event.GetEventId(), event.GetBody())
	}
	return missed.position, err
}

func change(ctx context.Context, c *cache) error {
	now, err := c.get(ctx, redacted)
	if err != nil {
		return err
	}
	set, err := call(ctx, c.SetRedaction, &pb.SetRedactionRequest{
		Homeserver: c.homeserver, RoomId: room, EventId: one, AsOf: now.position,
		Redaction: &pb.Redaction{RedactedBy: redaction},
	})
	if err != nil {
		return err
	}
	fmt.Printf("redacted %s by %s: %s\n", one, redaction, word(set.GetOutcome(), "SET_OUTCOME_"))
	for _, view := range []pb.RedactionView{redacted, original} {
		found, err := c.get(ctx, view, one)
		if err != nil {
			return err
		}
		for _, event := range found.hits {
			if view == redacted {
				fmt.Println("hit", one, "redacted by", event.GetRedaction().GetRedactedBy())
			} else {
				fmt.Printf("original %s %s\n", one, event.GetBody())
			}
		}
	}
	rejected, err := call(ctx, c.SetRejected, &pb.SetRejectedRequest{
		Homeserver: c.homeserver, RoomId: room, EventId: two, Rejected: true, AsOf: set.GetPosition(),
	})
	if err != nil {
		return err
	}
	fmt.Printf("rejected %s: %s\n", two, word(rejected.GetOutcome(), "SET_OUTCOME_"))
	return purge(ctx, c)
}

func purge(ctx context.Context, c *cache) error {
	request := &pb.PurgeRoomRequest{Homeserver: c.homeserver, RoomId: room}
	if _, err := call(ctx, c.PurgeRoom, request); err != nil {
		return err
	}
	fmt.Println("purged", room)
	found, err := c.get(ctx, redacted, one, two)
	for _, eventID := range found.missing {
		fmt.Println("missing", eventID)
	}
	return err
}

func readLarge(ctx context.Context, c *cache) error {
	var events []*pb.CachedEvent
	var eventIDs []string
	for n := range 20 {
		events = append(events, message(fmt.Sprintf("$big%d:example.org", n), strings.Repeat("x", 250_000)))
		eventIDs = append(eventIDs, events[n].GetEventId())
	}
	missed, err := c.get(ctx, redacted, eventIDs...)
	if err != nil {
		return err
	}
	if _, err := c.put(ctx, missed.position, events...); err != nil {
		return err
	}
	found, err := c.get(ctx, redacted, eventIDs...)
	fmt.Printf("truncated %d of %d, asked again: %d hits\n", found.truncated, len(events), len(found.hits))
	return err
}

func fail(ctx context.Context, c *cache) error {
	_, err := c.get(ctx, redacted, "")
	if status.Code(err) != codes.InvalidArgument {
		return err
	}
	for _, detail := range status.Convert(err).Details() {
		if bad, ok := detail.(*errdetails.BadRequest); ok {
			first := bad.GetFieldViolations()[0]
			fmt.Printf("refused INVALID_ARGUMENT %s: %s\n", first.GetField(), first.GetDescription())
		}
	}
	past, cancel := context.WithDeadline(ctx, time.Now())
	defer cancel()
	_, err = c.GetEvents(past, &pb.GetEventsRequest{Homeserver: c.homeserver})
	if status.Code(err) != codes.DeadlineExceeded {
		return fmt.Errorf("the deadline had passed: %w", err)
	}
	fmt.Println("deadline DEADLINE_EXCEEDED")
	return nil
}

func beginEpoch(ctx context.Context, c *cache) error {
	before, err := c.get(ctx, redacted)
	if err != nil {
		return err
	}
	request := &pb.PurgeHomeserverRequest{Homeserver: c.homeserver, NewEpoch: true}
	after, err := call(ctx, c.PurgeHomeserver, request)
	if err != nil {
		return err
	}
	if epochOf(after.GetPosition()) == epochOf(before.position) {
		return errors.New("the epoch is the same")
	}
	fmt.Println("new epoch")
	return nil
}
