package main

import (
	"bytes"
	"fmt"
	"sync"
	"time"

	pb "example.org/splitcache-example/splitcachev1"
)

const (
	eventsKeptMax = 1_000
	answersMax    = 10
)

// nearCache is what a process keeps of replies. It is a listener of a subscription. Frames alone prove
// nothing: after a freeze they may be old ones from a buffer. What is kept is used only while a recent
// position request proves that the stream has not fallen behind.
type nearCache struct {
	mutex  sync.Mutex
	events map[string]*pb.CachedEvent
	// What the stream has applied; nil before its first frame.
	position *pb.Position
	// When the stream last began with nothing to go on from.
	beganAt time.Time
	// When the newest position request was sent whose position the stream has applied.
	provedAt time.Time
	// Answered requests whose position it has not applied yet.
	answers []answer
}

type answer struct {
	sentAt   time.Time
	sequence uint64
}

func newNearCache() *nearCache { return &nearCache{events: map[string]*pb.CachedEvent{}} }

// answered says that a position request, sent while the gate was open, was answered so.
func (n *nearCache) answered(position *pb.Position, sentAt time.Time) {
	n.mutex.Lock()
	defer n.mutex.Unlock()
	if !n.isOfStream(position, sentAt) {
		return
	}
	if len(n.answers) == answersMax {
		n.answers = n.answers[1:]
	}
	n.answers = append(n.answers, answer{sentAt, position.GetSequence()})
	n.prove()
}

// epoch returns the epoch of all that is kept.
func (n *nearCache) epoch() string {
	n.mutex.Lock()
	defer n.mutex.Unlock()
	return epochOf(n.position)
}

// get returns what may be used now, if the gate is open and the epoch is the registered one.
func (n *nearCache) get(eventID string) *pb.CachedEvent {
	n.mutex.Lock()
	defer n.mutex.Unlock()
	if time.Since(n.provedAt) >= positionAgeMax {
		return nil
	}
	return n.events[eventID]
}

// keep keeps a hit of a reply with this position, unless the stream has applied a later change, which
// may be one of this event.
func (n *nearCache) keep(event *pb.CachedEvent, position *pb.Position, sentAt time.Time) {
	n.mutex.Lock()
	defer n.mutex.Unlock()
	if !n.isOfStream(position, sentAt) || n.position.GetSequence() > position.GetSequence() {
		return
	}
	n.events[event.GetEventId()] = event
	for eventID := range n.events {
		if len(n.events) <= eventsKeptMax {
			break
		}
		delete(n.events, eventID)
	}
}

func (n *nearCache) began(frame *pb.SubscribeResponse, position *pb.Position) error {
	if frame.GetReady().GetResumed() {
		return nil
	}
	n.mutex.Lock()
	defer n.mutex.Unlock()
	clear(n.events)
	n.answers = nil
	n.position = position
	n.beganAt = time.Now()
	n.provedAt = time.Time{}
	return nil
}

func (n *nearCache) changed(notice *pb.Notice) {
	n.mutex.Lock()
	defer n.mutex.Unlock()
	switch is := notice.GetChange().(type) {
	case *pb.Notice_EventRedacted:
		delete(n.events, is.EventRedacted.GetEventId())
	case *pb.Notice_EventRejected:
		delete(n.events, is.EventRejected.GetEventId())
	case *pb.Notice_EventsInvalidated:
		for _, eventID := range is.EventsInvalidated.GetEventIds() {
			delete(n.events, eventID)
		}
	case *pb.Notice_RoomPurged:
		for eventID, event := range n.events {
			if event.GetRoomId() == is.RoomPurged.GetRoomId() {
				delete(n.events, eventID)
			}
		}
	default:
		// A change that this client does not know may be of everything.
		clear(n.events)
	}
	// Before the rest of its batch: a reply from before this change is not kept any more.
	n.position = &pb.Position{Epoch: n.position.GetEpoch(), Sequence: notice.GetSequence()}
}

func (n *nearCache) applied(position *pb.Position) error {
	n.mutex.Lock()
	defer n.mutex.Unlock()
	n.position = position
	n.prove()
	return nil
}

func (n *nearCache) goingAway() {}

func (n *nearCache) disconnected(err error) { fmt.Println("disconnected", code(err)) }

// isOfStream says whether a reply to a request of then belongs to what the stream delivers.
func (n *nearCache) isOfStream(position *pb.Position, sentAt time.Time) bool {
	return n.position != nil && bytes.Equal(position.GetEpoch(), n.position.GetEpoch()) && !sentAt.Before(n.beganAt)
}

func (n *nearCache) prove() {
	for len(n.answers) > 0 && n.answers[0].sequence <= n.position.GetSequence() {
		n.provedAt = n.answers[0].sentAt
		n.answers = n.answers[1:]
	}
}
