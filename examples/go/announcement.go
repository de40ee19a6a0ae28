package main

import (
	"context"
	"encoding/json"
	"fmt"

	pb "example.org/splitcache-example/splitcachev1"
)

const announcementVersion = 1

// announcement is what a row says.
type announcement struct {
	Version    int                 `json:"version"`
	Homeserver bool                `json:"homeserver,omitempty"`
	Rooms      []string            `json:"rooms"`
	Events     map[string][]string `json:"events"`
}

func eventsChanged(roomID string, eventIDs ...string) string {
	// This type is always encoded.
	text, _ := json.Marshal(announcement{Version: announcementVersion, Rooms: []string{}, Events: map[string][]string{roomID: eventIDs}})
	return string(text)
}

// parse returns false if the text cannot be read. Like what a later version says, it may concern
// everything.
func parse(text string) (announcement, bool) {
	var what announcement
	err := json.Unmarshal([]byte(text), &what)
	return what, err == nil && what.Version == announcementVersion
}

// requests returns the requests of an announcement, PurgeRoom and InvalidateEvents.
func (what announcement) requests(homeserver string) []any {
	var requests []any
	for _, roomID := range what.Rooms {
		requests = append(requests, &pb.PurgeRoomRequest{Homeserver: homeserver, RoomId: roomID})
	}
	for roomID, eventIDs := range what.Events {
		for len(eventIDs) > 0 {
			n := min(len(eventIDs), eventsMax)
			requests = append(requests, &pb.InvalidateEventsRequest{
				Homeserver: homeserver, RoomId: roomID, EventIds: eventIDs[:n],
			})
			eventIDs = eventIDs[n:]
		}
	}
	return requests
}

func send(ctx context.Context, c *cache, request any) (*pb.Position, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	switch is := request.(type) {
	case *pb.PurgeRoomRequest:
		reply, err := c.PurgeRoom(ctx, is)
		return reply.GetPosition(), err
	case *pb.InvalidateEventsRequest:
		reply, err := c.InvalidateEvents(ctx, is)
		return reply.GetPosition(), err
	default:
		return nil, fmt.Errorf("no announcement: %T", request)
	}
}
