package telephony

import (
	"context"
	"time"
)

// Server is one server of a telephone system: it tells what it sees, and acts at once. All methods are safe for
// concurrent use. Errors are of this package's kinds: see Kind.
type Server interface {
	// Watch connects and tells everything that the server knows of devices and calls, then an EventSettled, then
	// each change as it comes, until the connection breaks or ctx ends. It returns why it ended, never nil. tell is
	// called from one goroutine at a time, in the order in which things happened, and must not block for long.
	Watch(ctx context.Context, tell func(Event)) error

	// Read makes the server take over what the database holds of queues, as Refresh does, and asks for what it then
	// holds of their members. What it answers is told by Watch, in order with everything else: for each Query its
	// EventMembers, and an EventQueueRead with the Query's Queue and Agent at its end. It returns when the server
	// has answered all of them, costs one action a Query, and fails while Watch is not connected.
	Read(ctx context.Context, queries ...Query) error

	// Refresh makes the server take over what the database holds of queues now, and not with the next caller. It
	// returns when the server has them all in memory, and costs one action a queue.
	Refresh(ctx context.Context, queues ...string) error

	// HangUp ends calls, by the channels' full names. One that is gone already is no error.
	HangUp(ctx context.Context, channels ...string) error

	// RemoveMember takes a member out of a queue that is in the server's memory and in no database. One that is
	// gone already is no error.
	RemoveMember(ctx context.Context, queue, iface string) error

	// Ping says whether the server takes orders.
	Ping(ctx context.Context) error

	// Close ends every connection. Calls under way return an Unreachable error.
	Close() error
}

// Query is a question about a queue's members.
type Query struct {
	Queue string
	// Agent asks for this person's phone alone; empty for every member.
	Agent string
}

// EventKind says what an Event tells.
type EventKind int

// The kinds of events.
const (
	// EventDevice tells Agent's Device state.
	EventDevice EventKind = iota + 1
	// EventMember tells a Member of Queue: Agent where it is a person's phone, else only Interface.
	EventMember
	// EventMemberGone tells that Interface is no member of Queue any more.
	EventMemberGone
	// EventQueueRead tells that every member of Queue, or where Agent is set that one alone, was told since it was
	// asked for: who was not is none.
	EventQueueRead
	// EventChannel tells that Agent's phone has Channel in a call.
	EventChannel
	// EventChannelGone tells that Channel is gone.
	EventChannelGone
	// EventListen tells that Channel, of Agent's phone, listens to Target, a channel of TargetAgent's.
	EventListen
	// EventListenEnd tells that Channel stopped listening.
	EventListenEnd
	// EventSettled tells that everything known at the time of connecting was told.
	EventSettled
)

// Event is something that a server tells.
type Event struct {
	Kind EventKind
	// Agent is the person whose phone it is about; empty where it is nobody's.
	Agent string
	// Queue and Interface of a member.
	Queue, Interface string
	Device           DeviceState
	Member           MemberState
	// Pressed says that somebody set or lifted the member's pause on the server, which else takes it from the database.
	Pressed bool
	// Channel is a channel's full name.
	Channel string
	// Target and TargetAgent are who is listened to.
	Target, TargetAgent string
}

// DeviceState is what a phone does.
type DeviceState int

// The states of a phone.
const (
	// DeviceUnavailable is a phone that is not registered or does not answer; the zero value.
	DeviceUnavailable DeviceState = iota
	// DeviceIdle is a phone that can be called.
	DeviceIdle
	// DeviceRinging is called and not in a call.
	DeviceRinging
	// DeviceInUse is in a call, on hold included.
	DeviceInUse
)

// MemberState is what a server's memory holds of a queue's member.
type MemberState struct {
	Penalty     int
	Paused      bool
	PauseReason string
	// InCall says that the member is in a call of this queue.
	InCall bool
	// Dynamic members are in the server's memory only: somebody added them there.
	Dynamic bool
}

// ServerConfig is how a server is reached.
type ServerConfig struct {
	// Name of the server in status and events.
	Name string
	// Address is host:port.
	Address string
	// Username and Password are secrets.
	Username, Password string
	// TLS is nil for a plain connection.
	TLS *ServerTLS
	// Timeout bounds connecting and every answer; 0 is five seconds.
	Timeout time.Duration
}

// String names the server and not its credentials.
func (c ServerConfig) String() string { return c.Name + " at " + c.Address }

// GoString does the same.
func (c ServerConfig) GoString() string { return c.String() }

// ServerTLS secures a server's connections.
type ServerTLS struct {
	// SkipVerify does not check the server's certificate.
	SkipVerify bool
	// CA is PEM certificates; empty for the system's.
	CA []byte
	// ServerName to check the certificate against; empty for the address's host.
	ServerName string
}
