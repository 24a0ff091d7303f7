package main

import (
	"fmt"
	"io"
	"sync"
	"time"
)

// progress tells what is going on, with the time since the start.
type progress struct {
	mu    sync.Mutex
	out   io.Writer
	start time.Time
}

func newProgress(out io.Writer) *progress { return &progress{out: out, start: time.Now()} }

func (p *progress) say(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	fmt.Fprintf(p.out, "%6.1fs  %s\n", time.Since(p.start).Seconds(), fmt.Sprintf(format, args...))
}

// step does something that may take a while and says so meanwhile.
func (p *progress) step(what string, do func() error) error {
	p.say("%s ...", what)
	done := make(chan struct{})
	defer close(done)
	go func() {
		ticker := time.NewTicker(5 * time.Second)
		defer ticker.Stop()
		for {
			select {
			case <-done:
				return
			case <-ticker.C:
				p.say("%s: still at it", what)
			}
		}
	}()
	return do()
}

func (p *progress) elapsed() time.Duration { return time.Since(p.start) }
