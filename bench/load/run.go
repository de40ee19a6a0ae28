package main

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// spec is one measurement, as a line of JSON on standard input.
type spec struct {
	Workload    string  `json:"workload"`
	Address     string  `json:"address"` // host:port or unix:path.
	ServerPID   int     `json:"serverPid"`
	ServerCore  int     `json:"serverCore"`
	IDs         int     `json:"ids"`         // IDs a read; 0: the recorded mix.
	Events      int     `json:"events"`      // Reads draw from the first so many events.
	Homeservers int     `json:"homeservers"` // Default 1.
	HitShare    float64 `json:"hitShare"`    // Default 1.
	WriteShare  float64 `json:"writeShare"`
	Connections int     `json:"connections"` // Default 4.
	InFlight    int     `json:"inFlight"`    // On each connection. Default 16.
	WarmupMs    int     `json:"warmupMs"`
	MeasureMs   int     `json:"measureMs"`
	Rate        float64 `json:"rate"`       // Operations a second; 0: as many as the server answers.
	FixedBytes  int     `json:"fixedBytes"` // Reply bytes for each ID of a peer with fixed replies.
	Subscribers int     `json:"subscribers"`
	Batch       int     `json:"batch"` // Events a put.
	// A fill begins with this homeserver.
	FirstHomeserver int `json:"firstHomeserver"`
}

func (s *spec) setDefaults(events int) {
	setDefault(&s.Events, events)
	setDefault(&s.Homeservers, 1)
	setDefault(&s.Connections, 4)
	setDefault(&s.InFlight, 16)
	setDefault(&s.MeasureMs, 2000)
	setDefault(&s.Batch, 100)
	if s.HitShare == 0 {
		s.HitShare = 1
	}
}

func setDefault(value *int, byDefault int) {
	if *value == 0 {
		*value = byDefault
	}
}

// result is what a measurement shows, as a line of JSON on standard output.
type result struct {
	Error      string  `json:"error,omitempty"`
	Seconds    float64 `json:"seconds"`
	Operations uint64  `json:"operations"`
	Events     uint64  `json:"events"` // IDs asked for, events put, or notices delivered.
	PerSecond  float64 `json:"perSecond"`
	// CPU time of the server, in microseconds.
	CPUOperation float64 `json:"cpuPerOperation"`
	CPUEvent     float64 `json:"cpuPerEvent"`
	// Shares of the time: the server and the load each on its core, and all else on the server's core.
	ServerBusy float64 `json:"serverBusy"`
	LoadBusy   float64 `json:"loadBusy"`
	OthersBusy float64 `json:"othersBusy"`
	// Latencies in microseconds.
	P50  float64 `json:"p50"`
	P99  float64 `json:"p99"`
	P999 float64 `json:"p999"`
	Max  float64 `json:"max"`
}

// counters are what the connections share. Each connection has a histogram of its own.
type counters struct {
	recording  atomic.Bool
	stopped    atomic.Bool
	operations atomic.Uint64
	events     atomic.Uint64
	mutex      sync.Mutex
	failure    error
	failed     chan struct{}
}

func newCounters() *counters { return &counters{failed: make(chan struct{})} }

func (c *counters) fail(err error) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if c.failure == nil && err != nil {
		c.failure = err
		c.stopped.Store(true)
		close(c.failed)
	}
}

// measure lets the workload warm up, and takes its figures between two moments.
func (c *counters) measure(what spec) (result, error) {
	if err := c.wait(what.WarmupMs); err != nil {
		return result{}, err
	}
	from, err := takeMoment(what.ServerPID, what.ServerCore)
	if err != nil {
		return result{}, err
	}
	operations, events := c.operations.Load(), c.events.Load()
	c.recording.Store(true)
	if err := c.wait(what.MeasureMs); err != nil {
		return result{}, err
	}
	c.recording.Store(false)
	to, err := takeMoment(what.ServerPID, what.ServerCore)
	if err != nil {
		return result{}, err
	}
	return makeResult(from, to, c.operations.Load()-operations, c.events.Load()-events), nil
}

func (c *counters) wait(ms int) error {
	select {
	case <-c.failed:
		return c.failure
	case <-time.After(time.Duration(ms) * time.Millisecond):
		return nil
	}
}

func makeResult(from, to moment, operations, events uint64) result {
	wall := to.at.Sub(from.at).Seconds()
	server := (to.serverCPU - from.serverCPU).Seconds()
	measured := result{
		Seconds:    wall,
		Operations: operations,
		Events:     events,
		PerSecond:  float64(operations) / wall,
		ServerBusy: server / wall,
		LoadBusy:   (to.loadCPU - from.loadCPU).Seconds() / wall,
		OthersBusy: max(0, (to.coreBusy-from.coreBusy).Seconds()-server) / wall,
	}
	if operations > 0 {
		measured.CPUOperation = server * 1e6 / float64(operations)
	}
	if events > 0 {
		measured.CPUEvent = server * 1e6 / float64(events)
	}
	return measured
}

func (r *result) setLatencies(of *histogram) {
	r.P50, r.P99, r.P999, r.Max = of.microseconds(0.5), of.microseconds(0.99), of.microseconds(0.999), of.microseconds(1)
}

// runReads keeps every slot of every connection busy with reads, and measures.
func runReads(pool []operation, what spec, open func(linkOptions) (link, error)) (result, error) {
	shared := newCounters()
	histograms := make([]histogram, what.Connections)
	var links sync.WaitGroup
	for n := range what.Connections {
		loop := &readLoop{
			shared:    shared,
			pool:      pool,
			next:      n * len(pool) / what.Connections,
			sentAt:    make([]time.Time, what.InFlight),
			latencies: &histograms[n],
			paced:     what.Rate > 0,
		}
		if loop.paced {
			loop.pause = time.Duration(float64(time.Second) * float64(what.Connections) / what.Rate)
		}
		options := linkOptions{address: what.Address, slots: what.InFlight, besideWrites: what.WriteShare > 0}
		options.done = loop.done
		opened, err := open(options)
		if err != nil {
			shared.fail(err)
			break
		}
		loop.link = opened
		links.Add(1)
		go func() {
			defer links.Done()
			defer opened.close()
			shared.fail(loop.run())
		}()
	}
	measured, err := shared.measure(what)
	shared.stopped.Store(true)
	links.Wait()
	if err == nil {
		err = shared.failure
	}
	if err != nil {
		return result{}, fmt.Errorf("%s: %w", what.Workload, err)
	}
	total := &histogram{}
	for at := range histograms {
		total.merge(&histograms[at])
	}
	measured.setLatencies(total)
	return measured, nil
}
