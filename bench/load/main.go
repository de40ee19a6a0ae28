// Load generates the load of the benchmarks. It reads one measurement a line of JSON from
// standard input, runs it, and prints the result as a line of JSON, until the input ends.
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"slices"
)

func main() {
	folder := flag.String("corpus", "demo", "`folder` with events.jsonl.gz and trace.jsonl.gz")
	count := flag.Int("events", 100_000, "events of the workload; recorded ones are repeated under new IDs")
	flag.Parse()
	events, err := loadCorpus(*folder, *count)
	if err != nil {
		fmt.Fprintln(os.Stderr, "load:", err)
		os.Exit(1)
	}
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		var what spec
		if err := json.Unmarshal(lines.Bytes(), &what); err != nil {
			fmt.Println(asJSON(result{Error: err.Error()}))
			continue
		}
		what.setDefaults(*count)
		fmt.Println(run(events, what))
	}
}

// run does what a line asks for, and returns the line that answers it.
func run(from *corpus, what spec) string {
	if what.Events > len(from.events) {
		return asJSON(result{Error: fmt.Sprintf("%d events of %d", what.Events, len(from.events))})
	}
	switch what.Workload {
	case "describe":
		return asJSON(describe(from, what))
	case "fill-sidecar":
		return answer(result{}, fillSidecar(from, what))
	case "fill-redis":
		sha, err := fillRedis(from, what)
		luaSHA = sha
		return answer(result{}, err)
	case "puts", "redis-puts":
		return answer(measurePuts(from, what))
	case "fan-out", "redis-fan-out":
		return answer(measureFanOut(what))
	}
	return answer(measureReads(from, what))
}

// The hash of the script in the server that was filled last: a hash of its text, so the same in each.
var luaSHA string

func measureReads(from *corpus, what spec) (result, error) {
	shape := readShape{
		ids: what.IDs, homeservers: what.Homeservers, events: what.Events,
		hitShare: what.HitShare, writeShare: what.WriteShare,
	}
	var encode func(string, []string) []byte
	var open func(linkOptions) (link, error)
	switch what.Workload {
	case "stream":
		encode, open = encodeStreamRead, openStreamLink
	case "calls":
		encode, open = encodeCall, openCallLink
	case "fixed-stream":
		encode, open = encodeCall, openFixedLink(what.FixedBytes, true)
	case "fixed-calls":
		encode, open = encodeCall, openFixedLink(what.FixedBytes, false)
	case "lua":
		encode, open = encodeLua(luaSHA), openRedisLink(answerLua)
	case "mget":
		encode, open = encodeMGET, openRedisLink(answerMGET)
	case "two-trips":
		encode, open = encodeMGET, openRedisLink(answerFirstTrip)
	default:
		return result{}, fmt.Errorf("unknown workload %q", what.Workload)
	}
	return runReads(makeOperations(from, shape, encode), what, open)
}

func answer(of result, err error) string {
	if err != nil {
		of.Error = err.Error()
	}
	return asJSON(of)
}

// description is what the figures need to be understood.
type description struct {
	Events         int     `json:"events"`
	MeanReplyBytes int     `json:"meanReplyBytes"`
	BatchMean      float64 `json:"batchMean"`
	BatchMedian    int     `json:"batchMedian"`
	BatchP90       int     `json:"batchP90"`
	BatchP99       int     `json:"batchP99"`
}

func describe(from *corpus, what spec) description {
	sizes, total := from.batchSizes, 0
	sorted := append([]int(nil), sizes...)
	slices.Sort(sorted)
	for _, size := range sizes {
		total += size
	}
	at := func(share float64) int { return sorted[int(share*float64(len(sorted)-1))] }
	return description{
		Events: what.Events, MeanReplyBytes: meanReplyBytes(from, what.Events),
		BatchMean: float64(total) / float64(len(sizes)), BatchMedian: at(0.5), BatchP90: at(0.9), BatchP99: at(0.99),
	}
}
