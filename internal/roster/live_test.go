package roster

import (
	"encoding/json"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"roster.dev/roster/api/v1alpha1"
)

func TestLiveStateC9(t *testing.T) {
	tests := []struct {
		name   string
		reason string
		edit   func(*Observation)
		color  Color
		detail string
	}{
		{"Available", "signed in and idle", func(*Observation) {}, Green, "available"},
		{"Ringing", "who is being called was available", func(o *Observation) { o.Ringing = true }, Green, "ringing"},
		{"AtWork", "this queue's call is its work", func(o *Observation) { o.InUse, o.InCallHere = true, true }, Green, "in a call of this queue"},
		{"AtWorkUnseen", "the queue knows before the phone does", func(o *Observation) { o.InCallHere = true }, Green, "in a call of this queue"},
		{"AtWorkCalled", "a second call rings", func(o *Observation) { o.InUse, o.InCallHere, o.Ringing = true, true, true }, Green, "in a call of this queue"},
		{"OtherCall", "busy with something else", func(o *Observation) { o.InUse = true }, Red, "in another call"},
		{"OtherCallCalled", "busy, and called besides", func(o *Observation) { o.InUse, o.Ringing = true, true }, Red, "in another call"},
		{"OptedOut", "of this queue alone", func(o *Observation) { o.PausedHere, o.PauseReason = true, "Lunch" }, Orange, "paused: Lunch"},
		{"OptedOutAtWork", "a pause comes before a call", func(o *Observation) { o.PausedHere, o.InUse, o.InCallHere = true, true, true }, Orange, "paused"},
		{"OptedOutBusy", "the first that matches", func(o *Observation) { o.PausedHere, o.InUse = true, true }, Orange, "paused"},
		{"OptedOutElsewhere", "another queue's pause shows there", func(o *Observation) { o.PauseReason = "" }, Green, "available"},
		{"Break", "paused in all", func(o *Observation) { o.PausedHere, o.PausedEverywhere, o.PauseReason = true, true, "Lunch" }, Red, "paused: Lunch"},
		{"BreakAtWork", "the call before the break goes on", func(o *Observation) { o.PausedHere, o.PausedEverywhere, o.InUse, o.InCallHere = true, true, true, true }, Red, "paused"},
		{
			"OnLeave", "Roster pauses who is away in all", func(o *Observation) {
				o.Phase, o.PausedHere, o.PausedEverywhere, o.PauseReason = v1alpha1.PhaseOnLeave, true, true, "Vacation"
			}, Red, "paused: Vacation",
		},
		{"Disconnected", "whatever the queue holds", func(o *Observation) { o.Registered, o.PausedHere = false, true }, Grey, "not registered"},
		{"Deactivated", "whatever the phone does", func(o *Observation) { o.Phase, o.InUse = v1alpha1.PhaseDeactivated, true }, Grey, "not signed in: Deactivated"},
		{"Deactivating", "not able any more", func(o *Observation) { o.Phase = v1alpha1.PhaseDeactivating }, Grey, "not signed in: Deactivating"},
		{"Pending", "not able yet", func(o *Observation) { o.Phase = v1alpha1.PhasePending }, Grey, "not signed in: Pending"},
		{"Unseen", "nothing was decided yet", func(o *Observation) { o.Phase = "" }, Grey, "not signed in"},
		{"NoServer", "nobody tells", func(o *Observation) { o.Observed = false }, NotObserved, "no server is connected"},
		{"NoServerOut", "a phase needs no server", func(o *Observation) { o.Observed, o.Phase = false, v1alpha1.PhaseDeactivated }, Grey, "not signed in: Deactivated"},
		{"Chat", "the phone says nothing of a chat", func(o *Observation) { o.Channel, o.PausedHere = v1alpha1.ChannelChat, true }, NotObserved, "not served by the telephone system"},
		{"ChatNoPhone", "nor does its absence", func(o *Observation) { o.Channel, o.Registered = v1alpha1.ChannelEmail, false }, NotObserved, "not served by the telephone system"},
		{"ChatOut", "not able is so on every channel", func(o *Observation) { o.Channel, o.Phase = v1alpha1.ChannelSMS, v1alpha1.PhaseDeactivated }, Grey, "not signed in: Deactivated"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := Observation{Phase: v1alpha1.PhaseActive, Channel: v1alpha1.ChannelVoice, Observed: true, Registered: true}
			tt.edit(&o)
			if color, detail := LiveState(&o); color != tt.color || detail != tt.detail {
				t.Errorf("%s: %s, %s", tt.reason, color, detail)
			}
		})
	}
}

// TestLiveStateEveryCaseC9 holds every possible observation to the list in the contract, each color by itself.
func TestLiveStateEveryCaseC9(t *testing.T) {
	phases := []v1alpha1.AgentPhase{
		"", v1alpha1.PhasePending, v1alpha1.PhaseActive, v1alpha1.PhaseOnLeave, v1alpha1.PhaseDeactivating, v1alpha1.PhaseDeactivated,
	}
	seen := map[Color]int{}
	for _, phase := range phases {
		for _, channel := range channels {
			for bits := range 1 << 7 {
				bit := func(i int) bool { return bits>>i&1 == 1 }
				o := Observation{
					Phase: phase, Channel: channel, Observed: bit(0), Registered: bit(1), Ringing: bit(2), InUse: bit(3),
					InCallHere: bit(4), PausedHere: bit(5), PausedEverywhere: bit(6), PauseReason: "Lunch",
				}
				able := phase == "Active" || phase == "OnLeave"
				told := channel == "Voice" && o.Observed
				signedIn := able && told && o.Registered
				want := map[Color]bool{
					NotObserved: able && !told,
					Grey:        !able || told && !o.Registered,
					Orange:      signedIn && o.PausedHere && !o.PausedEverywhere,
					Red:         signedIn && (o.PausedEverywhere || !o.PausedHere && o.InUse && !o.InCallHere),
					Green:       signedIn && !o.PausedHere && !o.PausedEverywhere && (o.InCallHere || !o.InUse),
				}
				color, detail := LiveState(&o)
				if !want[color] {
					t.Errorf("%+v is %s", o, color)
				}
				for other, is := range want {
					if is && other != color {
						t.Errorf("%+v is %s and not %s", o, color, other)
					}
				}
				if again, same := LiveState(&o); again != color || same != detail || detail == "" {
					t.Errorf("%+v is %s (%s), then %s (%s)", o, color, detail, again, same)
				}
				if strings.Contains(detail, "Lunch") != (color == Orange || color == Red && o.PausedEverywhere) {
					t.Errorf("%+v: %s", o, detail)
				}
				seen[color]++
			}
		}
	}
	if len(seen) != 5 {
		t.Errorf("saw %v", seen)
	}
}

// TestLiveStateUntoldC9: what a server tells changes the color of nobody of whom it cannot tell.
func TestLiveStateUntoldC9(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		phase := rapid.SampledFrom([]v1alpha1.AgentPhase{v1alpha1.PhaseActive, v1alpha1.PhaseOnLeave, v1alpha1.PhaseDeactivated}).Draw(t, "phase")
		channel := rapid.SampledFrom(channels[1:]).Draw(t, "channel")
		var colors [2]Color
		var details [2]string
		for i := range colors {
			flag := func(name string) bool { return rapid.Bool().Draw(t, name) }
			colors[i], details[i] = LiveState(&Observation{
				Phase: phase, Channel: channel, Observed: flag("observed"), Registered: flag("registered"),
				Ringing: flag("ringing"), InUse: flag("in use"), InCallHere: flag("in call"),
				PausedHere: flag("paused"), PausedEverywhere: flag("paused in all"), PauseReason: rapid.String().Draw(t, "reason"),
			})
		}
		if colors[0] != colors[1] || details[0] != details[1] {
			t.Fatalf("%v %v", colors, details)
		}
	})
}

func TestColorJSONC9(t *testing.T) {
	text, err := json.Marshal([]Color{Grey, Orange, Red, Green, NotObserved})
	if want := `["Grey","Orange","Red","Green","NotObserved"]`; err != nil || string(text) != want {
		t.Errorf("%s, %v", text, err)
	}
}
