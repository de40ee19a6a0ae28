package main

import "fmt"

// twoLevelRead is one Lua script for the whole read: the event, then this homeserver's
// metadata of it, which needs the room ID at the head of the event.
const twoLevelRead = `
local reply = {}
local homeserver = 'm:' .. ARGV[1] .. ' '
for i = 2, #ARGV do
  local id = ARGV[i]
  local event = redis.call('GET', 'e:' .. id)
  if event then
    local room = string.match(event, '^([^\n]*)')
    local metadata = redis.call('HGET', homeserver .. room, id)
    if metadata then
      reply[#reply + 1] = event
      reply[#reply + 1] = metadata
    end
  end
end
return reply`

func eventKey(id string) string                  { return "e:" + id }
func metadataKey(homeserver, room string) string { return "m:" + homeserver + " " + room }
func storedEvent(of *event) string               { return of.room + "\n" + string(of.recorded.body) }

func appendPut(out []byte, homeserver string, events []event) []byte {
	words := make([]string, 1, 1+2*len(events))
	words[0] = "MSET"
	for at := range events {
		words = append(words, eventKey(events[at].id), storedEvent(&events[at]))
	}
	out = appendCommand(out, words...)
	for _, each := range events {
		out = appendCommand(out, "HSET", metadataKey(homeserver, each.room), each.id, string(each.recorded.metadata))
	}
	return out
}

// redisLink sends each read as commands, and counts replies in order.
type redisLink struct {
	*respConn
	options linkOptions
	answer  func(l *redisLink, do *operation, reply *respReply) (finished bool, err error)
	inOrder []inFlight
	reads   int
}

// An operation in flight, or one stage of it.
type inFlight struct {
	slot  int
	do    *operation
	stage int
	seen  int
}

func openRedisLink(answer func(*redisLink, *operation, *respReply) (bool, error)) func(linkOptions) (link, error) {
	return func(options linkOptions) (link, error) {
		conn, err := dialRESP(options.address)
		return &redisLink{respConn: conn, options: options, answer: answer}, err
	}
}

func encodeLua(sha string) func(homeserver string, ids []string) []byte {
	return func(homeserver string, ids []string) []byte {
		return appendCommand(nil, append([]string{"EVALSHA", sha, "0", homeserver}, ids...)...)
	}
}

func encodeMGET(_ string, ids []string) []byte {
	words := []string{"MGET"}
	for _, id := range ids {
		words = append(words, eventKey(id))
	}
	return appendCommand(nil, words...)
}

func (l *redisLink) queue(slot int, do *operation) error {
	if do.written != nil {
		l.out = appendCommand(l.out, "HDEL", metadataKey(do.homeserver, do.written.room), do.written.id)
	} else {
		l.out = append(l.out, do.wire...)
	}
	l.inOrder = append(l.inOrder, inFlight{slot: slot, do: do})
	return nil
}

func (l *redisLink) handle() error {
	handled := 0
	for {
		reply, err := l.next()
		if err != nil {
			return err
		}
		if reply == nil {
			break
		}
		if reply.err != "" {
			return fmt.Errorf("redis: %s", reply.err)
		}
		finished, err := l.step(&l.inOrder[handled], reply)
		if err != nil {
			return err
		}
		if finished {
			handled++
		}
	}
	l.inOrder = append(l.inOrder[:0], l.inOrder[handled:]...)
	return nil
}

// step handles one reply to the oldest operation; it may queue that operation's second stage behind all others.
func (l *redisLink) step(oldest *inFlight, reply *respReply) (finished bool, err error) {
	do := oldest.do
	if do.written != nil {
		return l.stepWrite(*oldest)
	}
	if oldest.stage == secondTrip {
		return l.stepMetadata(oldest, reply)
	}
	l.reads++
	inFlight := *oldest
	finished, err = l.answer(l, do, reply)
	if err != nil {
		return true, err
	}
	if !finished {
		return true, l.queueMetadata(inFlight, reply)
	}
	return true, l.options.done(inFlight.slot, do)
}

// stepWrite: the invalidation is answered, then the put, whose two commands have two replies.
func (l *redisLink) stepWrite(was inFlight) (bool, error) {
	if was.stage < 1 {
		was.stage = 1
		l.out = appendPut(l.out, was.do.homeserver, []event{*was.do.written})
		l.inOrder = append(l.inOrder, was, inFlight{slot: was.slot, do: was.do, stage: 2})
		return true, nil
	}
	if was.stage == 1 {
		return true, nil
	}
	return true, l.options.done(was.slot, was.do)
}

func answerLua(l *redisLink, do *operation, reply *respReply) (bool, error) {
	hits, bytes := 0, 0
	whole := wholeCheck{of: do}
	for at := 0; at+1 < len(reply.elements); at += 2 {
		hits++
		body := bodyOf(reply.elements[at])
		bytes += len(body)
		if l.reads%wholeCheckEvery == 1 {
			if err := whole.hitBody(body); err != nil {
				return true, err
			}
		}
	}
	return true, do.check(hits, len(do.ids)-hits, bytes, l.options.besideWrites)
}

func answerMGET(l *redisLink, do *operation, reply *respReply) (bool, error) {
	hits, bytes := 0, 0
	for _, element := range reply.elements {
		if element != nil {
			hits++
			bytes += len(bodyOf(element))
		}
	}
	return true, do.check(hits, len(reply.elements)-hits, bytes, l.options.besideWrites)
}
