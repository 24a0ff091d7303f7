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

// readiness follows which objects of a kind are as they are to be. It asks only for those that its selector finds and
// looks at little of them, so as to cost the measured system little.
type readiness struct {
	sought
	stop func()

	mu    sync.Mutex
	ready map[string]bool
	// at is when the last object became ready, first when the first did.
	first, at time.Time
	done      chan error
}

// sought is what a watch waits for.
type sought struct {
	// resource and field selector to watch.
	resource, selector string
	// version from which on; empty: what is there counts too. It is the newest that was seen.
	version string
	want    int
	is      func(*watchedObject) bool
}

// watchedObject is what readiness looks at.
type watchedObject struct {
	Metadata struct {
		Name            string
		ResourceVersion string
		Generation      int64
	}
	Status struct {
		ObservedGeneration int64
		Assignees          []struct{ Name string }
		Conditions         []struct{ Type, Status string }
	}
}

func (o *watchedObject) isObserved() bool {
	return o.Status.ObservedGeneration == o.Metadata.Generation
}

func (o *watchedObject) isReady() bool {
	for _, c := range o.Status.Conditions {
		if c.Type == v1alpha1.ConditionReady {
			return c.Status == "True" && o.isObserved()
		}
	}
	return false
}

// watchReady watches until every agent of the staff is Ready.
func (p *plane) watchReady(ctx context.Context, s *staff) (*readiness, error) {
	return p.watch(ctx, sought{
		resource: "agents", selector: "status.phase=" + string(v1alpha1.PhaseActive), want: s.agents,
		is: func(o *watchedObject) bool { return strings.HasPrefix(o.Metadata.Name, s.prefix+"-") && o.isReady() },
	})
}

// watch watches until everything that is sought is there.
func (p *plane) watch(ctx context.Context, s sought) (*readiness, error) {
	config := rest.CopyConfig(p.config)
	config.GroupVersion, config.APIPath = &v1alpha1.GroupVersion, "/apis"
	config.NegotiatedSerializer = scheme.Codecs.WithoutConversion()
	c, err := rest.RESTClientFor(config)
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(ctx)
	r := &readiness{sought: s, stop: stop, ready: map[string]bool{}, done: make(chan error, 1)}
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
	request := c.Get().Namespace(namespace).Resource(r.resource).Param("watch", "1").Param("fieldSelector", r.selector)
	if r.version != "" {
		request.Param("resourceVersion", r.version)
	}
	return request.Stream(ctx)
}

// follow reads events until all that is sought is there, or until the watch ends.
func (r *readiness) follow(stream io.ReadCloser) (all bool) {
	defer stream.Close()
	decoder := json.NewDecoder(stream)
	for {
		event := struct {
			Type   string
			Object json.RawMessage
		}{}
		if err := decoder.Decode(&event); err != nil {
			return false
		}
		if event.Type == "ERROR" {
			r.version = "" // it is too old: begin anew
			return false
		}
		object := watchedObject{}
		if err := json.Unmarshal(event.Object, &object); err != nil {
			return false
		}
		name := object.Metadata.Name
		r.version = object.Metadata.ResourceVersion
		r.mu.Lock()
		if event.Type == "DELETED" || !r.is(&object) {
			delete(r.ready, name)
		} else if !r.ready[name] {
			r.ready[name], r.at = true, time.Now()
			if r.first.IsZero() {
				r.first = r.at
			}
		}
		all := len(r.ready) == r.want
		r.mu.Unlock()
		if all {
			return true
		}
	}
}

// wait returns when the last object became ready, or with an error when none does for long. say is told of progress.
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
			return r.at, fmt.Errorf("only %d of %d %s became ready", n, r.want, r.resource)
		}
	}
}

// complete says whether all that is sought is there.
func (r *readiness) complete() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.ready) == r.want
}
