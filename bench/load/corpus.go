package main

import (
	"bufio"
	"compress/gzip"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
)

// An event of the workload. Bodies are shared by the events that repeat a recorded one.
type event struct {
	id       string
	room     string
	recorded *recordedEvent
}

type recordedEvent struct {
	roomID      string
	roomVersion string
	body        []byte
	metadata    []byte
}

// What is read and put: real bodies under IDs of our own, and the recorded sizes of reads.
type corpus struct {
	events     []event
	batchSizes []int
}

// loadCorpus reads the recording in a folder and repeats its events until there are count of them.
// Each repetition has rooms of its own, so that rooms keep their recorded sizes.
func loadCorpus(folder string, count int) (*corpus, error) {
	recorded, err := readRecordedEvents(filepath.Join(folder, "events.jsonl.gz"))
	if err != nil {
		return nil, err
	}
	sizes, err := readBatchSizes(filepath.Join(folder, "trace.jsonl.gz"))
	if err != nil {
		return nil, err
	}
	events := make([]event, count)
	rooms := map[string]string{}
	for n := range events {
		if n%len(recorded) == 0 {
			clear(rooms)
		}
		source := &recorded[n%len(recorded)]
		room, ok := rooms[source.roomID]
		if !ok {
			room = "!" + strconv.Itoa(n/len(recorded)) + source.roomID[1:]
			rooms[source.roomID] = room
		}
		events[n] = event{id: eventID(n), room: room, recorded: source}
	}
	return &corpus{events: events, batchSizes: sizes}, nil
}

// eventID returns an ID in the form of room versions 4 and up.
func eventID(n int) string {
	digest := sha256.Sum256([]byte(strconv.Itoa(n)))
	return "$" + base64.RawURLEncoding.EncodeToString(digest[:])
}

func readRecordedEvents(path string) ([]recordedEvent, error) {
	var events []recordedEvent
	err := readLines(path, func(line []byte) error {
		var fields struct {
			RoomID      string `json:"room_id"`
			RoomVersion string `json:"room_version"`
			JSON        string `json:"json"`
			Metadata    string `json:"internal_metadata"`
		}
		if err := json.Unmarshal(line, &fields); err != nil {
			return err
		}
		metadata := fields.Metadata
		if metadata == "" {
			metadata = `{"token_id":6,"historical":false}`
		}
		events = append(events, recordedEvent{
			roomID:      fields.RoomID,
			roomVersion: fields.RoomVersion,
			body:        []byte(fields.JSON),
			metadata:    []byte(metadata),
		})
		return nil
	})
	return events, err
}

// readBatchSizes returns how many IDs each recorded read has that reaches an external cache.
func readBatchSizes(path string) ([]int, error) {
	var sizes []int
	err := readLines(path, func(line []byte) error {
		var fields struct {
			Op  string            `json:"op"`
			IDs []json.RawMessage `json:"ids"`
		}
		const prefix = `{"op":"fetch"`
		if len(line) < len(prefix) || string(line[:len(prefix)]) != prefix {
			return nil
		}
		if err := json.Unmarshal(line, &fields); err != nil {
			return err
		}
		sizes = append(sizes, len(fields.IDs))
		return nil
	})
	return sizes, err
}

func readLines(path string, each func(line []byte) error) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	unzipped, err := gzip.NewReader(file)
	if err != nil {
		return err
	}
	lines := bufio.NewScanner(unzipped)
	lines.Buffer(make([]byte, 1<<16), 1<<24)
	for lines.Scan() {
		if err := each(lines.Bytes()); err != nil {
			return err
		}
	}
	return lines.Err()
}
