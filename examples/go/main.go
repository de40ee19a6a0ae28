// How a program uses splitcache: tour makes each call once, follow follows the changes.
//
//	splitcache-example tour ADDRESS
//	splitcache-example follow ADDRESS [--writers a,b]
//
// ADDRESS is host:port or unix:/path.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	code, err := run(ctx, os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	os.Exit(code)
}

func run(ctx context.Context, args []string) (int, error) {
	commands := map[string]func(context.Context, *cache) error{"tour": tour, "follow": follow}
	if len(args) < 2 || commands[args[0]] == nil {
		return 2, errors.New("usage: splitcache-example tour|follow ADDRESS [--homeserver NAME] [--writers a,b]")
	}
	flags := flag.NewFlagSet("splitcache-example", flag.ContinueOnError)
	homeserver := flags.String("homeserver", "example.org", "the homeserver to act for")
	writers := flags.String("writers", "", "the processes that change its events")
	if err := flags.Parse(args[2:]); err != nil {
		return 2, nil
	}
	var names []string
	if *writers != "" {
		names = strings.Split(*writers, ",")
	}
	c, err := connect(args[1], *homeserver, names)
	if err != nil {
		return 1, err
	}
	defer c.close()
	err = commands[args[0]](ctx, c)
	var two twoSidecars
	switch {
	case errors.As(err, &two):
		fmt.Println(two)
		return 3, nil
	case ctx.Err() != nil:
		return 0, nil
	case err != nil:
		return 1, err
	}
	return 0, nil
}
