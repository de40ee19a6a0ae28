// How a program uses splitcache.
//
//	splitcache-example tour ADDRESS
//	splitcache-example follow ADDRESS
//	splitcache-example worker ADDRESS DATABASE
//	splitcache-example commit-and-die DATABASE EVENT_ID TEXT
//
// ADDRESS is host:port or unix:/path, DATABASE the path of a SQLite file.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

const usage = `usage: splitcache-example tour ADDRESS | follow ADDRESS | worker ADDRESS DATABASE |
       commit-and-die DATABASE EVENT_ID TEXT`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:]))
}

func run(ctx context.Context, args []string) int {
	if len(args) == 4 && args[0] == "commit-and-die" {
		return exitCode(ctx, commitAndDie(args[1], args[2], args[3]))
	}
	if len(args) < 2 {
		fmt.Fprintln(os.Stderr, usage)
		return 2
	}
	c, err := connect(args[1], "example.org")
	if err != nil {
		return exitCode(ctx, err)
	}
	defer c.close()
	switch {
	case args[0] == "tour" && len(args) == 2:
		err = tour(ctx, c)
	case args[0] == "follow" && len(args) == 2:
		err = follow(ctx, c, &printer{epochs{past: map[string]bool{}}})
	case args[0] == "worker" && len(args) == 3:
		err = work(ctx, c, args[2], os.Stdin)
	default:
		fmt.Fprintln(os.Stderr, usage)
		return 2
	}
	return exitCode(ctx, err)
}

func exitCode(ctx context.Context, err error) int {
	var two twoSidecars
	switch {
	case errors.As(err, &two):
		fmt.Println(two)
		return 3
	case err == nil || ctx.Err() != nil:
		return 0
	default:
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
}
