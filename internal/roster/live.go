package roster

import "roster.dev/roster/api/v1alpha1"

// Color is a person's live state in one queue, at a glance.
type Color string

// The colors.
const (
	// Grey is logged out or disconnected.
	Grey Color = "Grey"
	// Orange is paused in this queue, and not in all of theirs.
	Orange Color = "Orange"
	// Red is on a break, or busy with something else.
	Red Color = "Red"
	// Green is available, or at work for this queue.
	Green Color = "Green"
	// NotObserved is a person of whom nobody tells what they do.
	NotObserved Color = "NotObserved"
)

// InAnotherCall is the detail of a person who is busy with a call that is not this queue's.
const InAnotherCall = "in another call"

// Observation is what is known at one moment of a person in one queue and channel.
type Observation struct {
	Phase   v1alpha1.AgentPhase
	Channel v1alpha1.Channel
	// Observed says that a server tells of phones: one is declared, and connected.
	Observed bool
	// Registered says that a server can reach the phone.
	Registered bool
	// Ringing and InUse are what the phone does, for whomever: it is called, it is in a call.
	Ringing, InUse bool
	// InCallHere says that the person is in a call of this queue.
	InCallHere bool
	// PausedHere is in this queue, PausedEverywhere in every voice queue of theirs.
	PausedHere, PausedEverywhere bool
	// PauseReason is empty where none was given.
	PauseReason string
}

// LiveState is the color of an observation, and in a few words why.
func LiveState(o *Observation) (color Color, detail string) {
	switch {
	case o.Phase == "":
		return Grey, "not signed in"
	case !Working(o.Phase):
		return Grey, "not signed in: " + string(o.Phase)
	case o.Channel != v1alpha1.ChannelVoice:
		return NotObserved, "not served by the telephone system"
	case !o.Observed:
		return NotObserved, "no server is connected"
	case !o.Registered:
		return Grey, "not registered"
	case o.PausedHere && !o.PausedEverywhere:
		return Orange, o.pause()
	case o.PausedEverywhere:
		return Red, o.pause()
	case o.InCallHere:
		return Green, "in a call of this queue"
	case o.InUse:
		return Red, InAnotherCall
	case o.Ringing:
		return Green, "ringing"
	}
	return Green, "available"
}

func (o *Observation) pause() string {
	if o.PauseReason == "" {
		return "paused"
	}
	return "paused: " + o.PauseReason
}
