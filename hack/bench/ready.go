package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"

	"roster.dev/roster/api/v1alpha1"
)

// readiness follows which agents of a staff are Ready. It asks only for those that have a phase and looks at little
// of them, so as to cost the measured system little.
type readiness struct {
	prefix string
	want   int
	stop   func()
	// version is the newest that was seen.
	version string

	mu    sync.Mutex
	ready map[string]bool
	// at is when the last agent became Ready.
	at   time.Time
	done chan error
}

// watchedAgent is what readiness looks at.
type watchedAgent struct {
	Type   string
	Object struct {
		Metadata struct {
			Name            string
			ResourceVersion string
			Generation      int64
		}
		Status struct {
			ObservedGeneration int64
			Conditions         []struct{ Type, Status string }
		}
	}
}

func (a *watchedAgent) isReady() bool {
	for _, c := range a.Object.Status.Conditions {
		if c.Type == v1alpha1.ConditionReady {
			return c.Status == "True" && a.Object.Status.ObservedGeneration == a.Object.Metadata.Generation
		}
	}
	return false
}

// watchReady watches until every agent of the staff is Ready.
func (p *plane) watchReady(ctx context.Context, s *staff) (*readiness, error) {
	config := rest.CopyConfig(p.config)
	config.GroupVersion, config.APIPath = &v1alpha1.GroupVersion, "/apis"
	config.NegotiatedSerializer = scheme.Codecs.WithoutConversion()
	c, err := rest.RESTClientFor(config)
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(ctx)
	r := &readiness{prefix: s.prefix + "-", want: s.agents, stop: stop, ready: map[string]bool{}, done: make(chan error, 1)}
	stream, err := r.open(ctx, c)
	if err != nil {
		stop()
		return nil, err
	}
	go func() {
		// The API server closes a watch whose reader is slow, as on a machine that has too much to do.
		for err == nil && !r.follow(stream) {
			stream, err = r.open(ctx, c)
		}
		r.done <- err
	}()
	return r, nil
}

// open watches from the newest version seen.
func (r *readiness) open(ctx context.Context, c rest.Interface) (io.ReadCloser, error) {
	request := c.Get().Namespace(namespace).Resource("agents").Param("watch", "1").
		Param("fieldSelector", "status.phase="+string(v1alpha1.PhaseActive))
	if r.version != "" {
		request.Param("resourceVersion", r.version)
	}
	return request.Stream(ctx)
}

// follow reads events until all agents are Ready, or until the watch ends.
func (r *readiness) follow(stream io.ReadCloser) (all bool) {
	defer stream.Close()
	decoder := json.NewDecoder(stream)
	for {
		event := watchedAgent{}
		if err := decoder.Decode(&event); err != nil {
			return false
		}
		if event.Type == "ERROR" {
			r.version = "" // it is too old: begin anew
			return false
		}
		name := event.Object.Metadata.Name
		r.version = event.Object.Metadata.ResourceVersion
		if !strings.HasPrefix(name, r.prefix) {
			continue
		}
		r.mu.Lock()
		if event.Type == "DELETED" || !event.isReady() {
			delete(r.ready, name)
		} else if !r.ready[name] {
			r.ready[name], r.at = true, time.Now()
		}
		all := len(r.ready) == r.want
		r.mu.Unlock()
		if all {
			return true
		}
	}
}

// wait returns when the last agent became Ready, or with an error when none does for long. say is told of progress.
func (r *readiness) wait(ctx context.Context, say func(ready int)) (time.Time, error) {
	const patience = 3 * time.Minute
	defer r.stop()
	tick := time.NewTicker(10 * time.Second)
	defer tick.Stop()
	last, since := 0, time.Now()
	for {
		select {
		case err := <-r.done:
			return r.at, err
		case <-ctx.Done():
			return r.at, context.Cause(ctx)
		case <-tick.C:
		}
		r.mu.Lock()
		n := len(r.ready)
		r.mu.Unlock()
		say(n)
		if n != last {
			last, since = n, time.Now()
		}
		if time.Since(since) > patience {
			return r.at, fmt.Errorf("only %d of %d agents became Ready", n, r.want)
		}
	}
}

// complete says whether all agents are Ready.
func (r *readiness) complete() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.ready) == r.want
}
