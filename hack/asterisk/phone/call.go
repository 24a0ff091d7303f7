package phone

import (
	"context"
	"fmt"
	"net/http"
	"time"
)

// Direction of a call, as the phone sees it.
type Direction int

// The directions.
const (
	Outgoing Direction = iota
	Incoming
)

// Side is who ended a call.
type Side int

// The sides. A phone that ends without a word leaves its calls to Nobody.
const (
	Nobody Side = iota
	// Here is this phone.
	Here
	// There is the server: the other party, or whatever else ended it.
	There
)

// String is the side's name.
func (s Side) String() string {
	return [...]string{"nobody", "here", "there"}[s]
}

// Call is one call of a phone's. All methods are safe for concurrent use.
type Call struct {
	phone        *Phone
	id           string
	direction    Direction
	name, number string

	// Guarded by the phone's mutex; the channels are closed once.
	ringing, answered, ended    chan struct{}
	isRinging, isAnswered, over bool
	status                      int
	endedBy                     Side
}

func newCall(p *Phone, id string, direction Direction) *Call {
	return &Call{
		phone: p, id: id, direction: direction,
		ringing: make(chan struct{}), answered: make(chan struct{}), ended: make(chan struct{}),
	}
}

// ID is the call's Call-ID.
func (c *Call) ID() string { return c.id }

// Direction says who called.
func (c *Call) Direction() Direction { return c.direction }

// CallerName and CallerNumber are what the phone shows of who calls.
func (c *Call) CallerName() string { return c.name }

// CallerNumber is the number shown of who calls, or the number that was dialled.
func (c *Call) CallerNumber() string { return c.number }

// Ringing is closed when the phone rings, or the one called does.
func (c *Call) Ringing() <-chan struct{} { return c.ringing }

// Answered is closed when the call is up.
func (c *Call) Answered() <-chan struct{} { return c.answered }

// Ended is closed when the call is over, however that came.
func (c *Call) Ended() <-chan struct{} { return c.ended }

// Status is the final answer to a call from here: 200, or the status that refused it; 0 while there is none and for a
// call that was given up.
func (c *Call) Status() int {
	c.phone.mu.Lock()
	defer c.phone.mu.Unlock()
	return c.status
}

// EndedBy says who ended the call; Nobody while it lasts.
func (c *Call) EndedBy() Side {
	c.phone.mu.Lock()
	defer c.phone.mu.Unlock()
	return c.endedBy
}

// Answer answers a call that rings.
func (c *Call) Answer() error { return c.phone.order(orderAnswer, c.id) }

// Busy refuses a call that rings, with 486.
func (c *Call) Busy() error { return c.phone.order(orderBusy, c.id) }

// HangUp ends the call, whatever its state, and returns when the server has confirmed that. One that is over already is no error.
func (c *Call) HangUp(ctx context.Context) error {
	for {
		select {
		case <-c.ended:
			return c.lost()
		default:
		}
		if err := c.phone.order(orderHangUp, c.id); err != nil {
			return err
		}
		select {
		case <-c.ended:
			return c.lost()
		case <-ctx.Done():
			return fmt.Errorf("hanging up %s: %w", c.id, context.Cause(ctx))
		case <-time.After(repeatAfter):
		}
	}
}

// repeatAfter is when a hang-up is tried again: SIP's own first interval.
const repeatAfter = 500 * time.Millisecond

// lost is an error where the phone ended, and not the call.
func (c *Call) lost() error {
	select {
	case <-c.phone.done:
		return c.phone.err
	default:
		return nil
	}
}

// The rest is called with the phone's mutex held.

func (c *Call) ring() {
	if !c.isRinging {
		c.isRinging = true
		close(c.ringing)
	}
}

func (c *Call) answer() {
	if !c.isAnswered {
		c.isAnswered = true
		c.status = http.StatusOK // SIP's and HTTP's are the same
		close(c.answered)
	}
}

func (c *Call) end(by Side) {
	if !c.over {
		c.over = true
		c.endedBy = by
		close(c.ended)
	}
}
