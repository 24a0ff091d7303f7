// Package live keeps the servers of each centre in view: who is registered, paused and talking, held in memory from
// what the servers tell; and has them do at once what cannot wait for the next caller.
//
// Every replica of the manager watches. Only the one that leads acts.
package live

import (
	"context"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"

	"roster.dev/roster/api/v1alpha1"
	"roster.dev/roster/internal/telephony"
)

// Opener makes the connection to a server. It need not reach it.
type Opener func(telephony.ServerConfig) (telephony.Server, error)

// Hooks are told what somebody has to look at. They are called from many goroutines and must not block. Any may be nil.
type Hooks struct {
	// Queues are the names of a namespace's queues that have a place on the telephone system.
	Queues func(namespace string) []string
	// Moved: a Sight tells something else of a person now.
	Moved func(namespace, agent string)
	// Stirred: a person's phone has one call more or less, or is not registered any more.
	Stirred func(namespace, agent string)
	// Changed: the state of a connection changed.
	Changed func(namespace string)
	// Paused: somebody set or lifted a pause on a server, by phone or by its manager interface.
	Paused func(namespace string, member Member)
	// Stray: a queue has a member that is in a server's memory only.
	Stray func(namespace string, member Member)
	// Listening: a person began to listen to another's call.
	Listening func(namespace string, session Listening)
}

// ServerStatus is the state of the connection to one server.
type ServerStatus struct {
	Name  string
	State v1alpha1.ConnectionState
	// Since is when the state began.
	Since time.Time
	// Message says what is wrong; empty while connected.
	Message string
}

// Presence is what is left of a person's connection to the servers of a centre.
type Presence struct {
	// Device is the most active state of the person's phone on the servers that are watched.
	Device   telephony.DeviceState
	Channels []Channel
	// Unwatched are the servers that cannot be asked, sorted.
	Unwatched []string
	// Connecting says that one of them was not reached for yet.
	Connecting bool
}

// Config is one server to be used.
type Config struct {
	telephony.ServerConfig
	// Problem is why it cannot be: a credential that is missing. Empty for none.
	Problem string
}

// Fleet is the servers of all centres. It is safe for concurrent use.
type Fleet struct {
	open Opener
	// hooks are set before the first use.
	hooks Hooks
	log   logr.Logger
	leads atomic.Bool

	mu      sync.RWMutex
	centers map[string]*servers
}

// servers are those of one centre.
type servers struct {
	board *board
	all   []*server
}

// New makes an empty fleet.
func New(open Opener, log logr.Logger) *Fleet {
	return &Fleet{open: open, log: log, centers: map[string]*servers{}}
}

// Hook sets who is told. It is called before the first Use.
func (f *Fleet) Hook(hooks Hooks) { f.hooks = hooks }

// Lead makes this process the one that acts. Whoever led before may have left servers behind: all is looked at.
func (f *Fleet) Lead() {
	f.leads.Store(true)
	f.mu.RLock()
	defer f.mu.RUnlock()
	for _, center := range f.centers {
		for _, s := range center.all {
			s.touchAll()
		}
	}
}

// Leads says whether this process acts.
func (f *Fleet) Leads() bool { return f.leads.Load() }

// Use makes these the servers of a namespace's centre. Those that stay as they are stay connected. interval is how
// often each server is looked at again; 0 for never.
func (f *Fleet) Use(namespace string, configs []Config, interval time.Duration) {
	f.mu.Lock()
	center := f.centers[namespace]
	if center == nil {
		center = &servers{board: newBoard()}
	}
	next := &servers{board: center.board}
	var obsolete []*server
	for _, s := range center.all {
		i := slices.IndexFunc(configs, func(c Config) bool { return c.Name == s.config.Name })
		if i >= 0 && reflect.DeepEqual(configs[i], s.config) && s.interval == interval {
			next.all = append(next.all, s)
		} else {
			obsolete = append(obsolete, s)
		}
	}
	f.mu.Unlock()
	for _, s := range obsolete {
		s.close()
		center.board.remove(s.config.Name)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, c := range configs {
		if !slices.ContainsFunc(next.all, func(s *server) bool { return s.config.Name == c.Name }) {
			next.board.add(c.Name)
			next.all = append(next.all, newServer(f, namespace, next.board, c, interval))
		}
	}
	if len(next.all) == 0 {
		delete(f.centers, namespace)
		return
	}
	slices.SortFunc(next.all, func(a, b *server) int { return strings.Compare(a.config.Name, b.config.Name) })
	f.centers[namespace] = next
}

// Close ends every connection.
func (f *Fleet) Close() {
	f.mu.Lock()
	all := f.centers
	f.centers = map[string]*servers{}
	f.mu.Unlock()
	for _, center := range all {
		for _, s := range center.all {
			s.close()
		}
	}
}

func (f *Fleet) of(namespace string) *servers {
	f.mu.RLock()
	defer f.mu.RUnlock()
	if c := f.centers[namespace]; c != nil {
		return c
	}
	return &servers{board: newBoard()}
}

// Servers are the states of a centre's servers, sorted by name.
func (f *Fleet) Servers(namespace string) []ServerStatus {
	var list []ServerStatus
	for _, s := range f.of(namespace).all {
		list = append(list, s.Status())
	}
	return list
}

// Sight is what a centre's servers see of a person.
func (f *Fleet) Sight(namespace, agent string) Sight { return f.of(namespace).board.sight(agent) }

// Presence is what is left of a person's connection to a centre's servers.
func (f *Fleet) Presence(namespace, agent string) Presence {
	center := f.of(namespace)
	p := center.board.presence(agent)
	slices.Sort(p.Unwatched)
	for _, s := range center.all {
		p.Connecting = p.Connecting || s.Status().State == v1alpha1.ConnectionConnecting
	}
	return p
}

// Listening are all sessions of a centre that listen to others.
func (f *Fleet) Listening(namespace string) []Listening { return f.of(namespace).board.listening() }

// Refresh has a centre's servers take over what the database holds of queues, soon and without waiting for them.
// agent is the one member that changed; empty where the queue itself did.
func (f *Fleet) Refresh(namespace, agent string, queues ...string) {
	f.RefreshOthers(namespace, "", agent, queues...)
}

// RefreshOthers does the same on every server but one, which knows.
func (f *Fleet) RefreshOthers(namespace, server, agent string, queues ...string) {
	for _, s := range f.of(namespace).all {
		if s.config.Name != server {
			s.touch(agent, queues)
		}
	}
}

// HangUp ends calls, without waiting for it.
func (f *Fleet) HangUp(namespace, server string, channels ...string) {
	f.order(namespace, server, "hanging up", func(ctx context.Context, api telephony.Server) error {
		return api.HangUp(ctx, channels...)
	})
}

// RemoveMember takes a member out that is in a server's memory only, without waiting for it.
func (f *Fleet) RemoveMember(namespace, server, queue, iface string) {
	f.order(namespace, server, "removing a member", func(ctx context.Context, api telephony.Server) error {
		return api.RemoveMember(ctx, queue, iface)
	})
}

// orderTimeout bounds one order; whoever gave it looks again.
const orderTimeout = 10 * time.Second

func (f *Fleet) order(namespace, server, what string, do func(context.Context, telephony.Server) error) {
	if !f.leads.Load() {
		return
	}
	for _, s := range f.of(namespace).all {
		if s.config.Name != server || s.api == nil {
			continue
		}
		go func() {
			ctx, cancel := context.WithTimeout(s.ctx, orderTimeout)
			defer cancel()
			if err := do(ctx, s.api); err != nil && s.ctx.Err() == nil {
				f.log.Info("server did not obey", "namespace", namespace, "server", server, "order", what, "reason", err.Error())
			}
		}()
	}
}

// add makes a place for a server, remove takes it away.
func (b *board) add(server string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.servers[server] = newView()
}

func (b *board) remove(server string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.servers, server)
}
