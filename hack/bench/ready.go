package main

import (
	"context"
	"encoding/json"
	"errors"
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
			Name       string
			Generation int64
		}
		Status struct {
			ObservedGeneration int64
			Conditions         []struct{ Type, Status string }
		}
		Message string
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
	http, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, err
	}
	c, err := rest.RESTClientForConfigAndClient(config, http)
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(ctx)
	stream, err := c.Get().Namespace(namespace).Resource("agents").Param("watch", "1").
		Param("fieldSelector", "status.phase="+string(v1alpha1.PhaseActive)).Stream(ctx)
	if err != nil {
		stop()
		return nil, err
	}
	r := &readiness{prefix: s.prefix + "-", want: s.agents, stop: stop, ready: map[string]bool{}, done: make(chan error, 1)}
	go func() {
		defer stream.Close()
		r.done <- r.follow(stream)
	}()
	return r, nil
}

func (r *readiness) follow(stream io.Reader) error {
	decoder := json.NewDecoder(stream)
	for {
		event := watchedAgent{}
		if err := decoder.Decode(&event); err != nil {
			return fmt.Errorf("watching the agents: %w", err)
		}
		if event.Type == "ERROR" {
			return errors.New("watching the agents: " + event.Object.Message)
		}
		name := event.Object.Metadata.Name
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
			return nil
		}
	}
}

// wait returns when the last agent became Ready. say is told of progress.
func (r *readiness) wait(ctx context.Context, say func(ready int)) (time.Time, error) {
	defer r.stop()
	tick := time.NewTicker(10 * time.Second)
	defer tick.Stop()
	for {
		select {
		case err := <-r.done:
			return r.at, err
		case <-ctx.Done():
			return r.at, context.Cause(ctx)
		case <-tick.C:
			r.mu.Lock()
			n := len(r.ready)
			r.mu.Unlock()
			say(n)
		}
	}
}

// complete says whether all agents are Ready.
func (r *readiness) complete() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.ready) == r.want
}
