package roster

import (
	"fmt"
	"testing"

	"roster.dev/roster/api/v1alpha1"
)

func TestMergeC2C3(t *testing.T) {
	const voice, chat, email = v1alpha1.ChannelVoice, v1alpha1.ChannelChat, v1alpha1.ChannelEmail
	support := queue("support")
	support.Spec.Channels = []v1alpha1.Channel{email, voice, chat}
	support.Spec.Competency = v1alpha1.CompetencyEnabled
	flat := queue("flat")
	flat.Spec.Channels = nil
	views := map[string]*QueueView{"support": ViewQueue(support), "flat": ViewQueue(flat)}
	way := func(queue string, kind WayKind, through string, stars int32, channels ...v1alpha1.Channel) Way {
		return Way{views[queue], kind, through, new(entry("x", stars, channels...))}
	}
	tests := []struct {
		name   string
		reason string
		ways   []Way
		want   string
	}{
		{"None", "no way, no membership", nil, "[]"},
		{
			"Direct", "an entry alone, with the queue's channels in their order, whatever the queue's",
			[]Way{way("support", WayDirect, "", 4)}, "[support 4* penalty=0 [Voice Chat Email] [Direct]]",
		},
		{
			"DefaultStar", "one star where none is given; the lowest is called last",
			[]Way{way("support", WayTeam, "a", 0)}, "[support 1* penalty=3 [Voice Chat Email] [Team/a]]",
		},
		{
			"TwoStars", "penalty is four less the stars",
			[]Way{way("support", WayTeam, "a", 2)}, "[support 2* penalty=2 [Voice Chat Email] [Team/a]]",
		},
		{
			"NoCompetency", "stars do not count where the queue does not say so, and are kept",
			[]Way{way("flat", WayDirect, "", 2)}, "[flat 2* penalty=0 [Voice] [Direct]]",
		},
		{
			"DirectDecides", "the individual entry decides stars and channels, even downwards; the ways are all named",
			[]Way{way("support", WayGroup, "g", 4), way("support", WayDirect, "", 2, chat), way("support", WayTeam, "t", 3, voice)},
			"[support 2* penalty=2 [Chat] [Direct Group/g Team/t]]",
		},
		{
			"MostStarsAndUnion", "without an individual entry the most stars and the union of the channels",
			[]Way{way("support", WayTeam, "b", 3, email), way("support", WayGroup, "g", 1, voice), way("support", WayTeam, "a", 2, voice)},
			"[support 3* penalty=1 [Voice Email] [Group/g Team/a Team/b]]",
		},
		{
			"EntryWithoutChannels", "one that names no channel serves all",
			[]Way{way("support", WayTeam, "b", 1, email), way("support", WayGroup, "g", 1)},
			"[support 1* penalty=3 [Voice Chat Email] [Group/g Team/b]]",
		},
		{
			"ForeignChannel", "a channel that the queue does not offer is not served",
			[]Way{way("flat", WayDirect, "", 1, chat), way("support", WayDirect, "", 1, voice)},
			"[support 1* penalty=3 [Voice] [Direct]]",
		},
		{
			"TwoQueues", "one membership each, sorted",
			[]Way{way("support", WayTeam, "t", 1, voice), way("flat", WayTeam, "t", 4)},
			"[flat 4* penalty=0 [Voice] [Team/t] support 1* penalty=3 [Voice] [Team/t]]",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			permute(tt.ways, func(ways []Way) {
				var got []string
				for _, m := range merge(append([]Way(nil), ways...)) {
					got = append(got, fmt.Sprintf("%s %d* penalty=%d %v %v", m.Queue.Name, m.Stars, m.Penalty(), m.Channels, m.Via))
				}
				if fmt.Sprint(got) != tt.want {
					t.Errorf("%s:\ngot  %v\nwant %s", tt.reason, got, tt.want)
				}
			})
		})
	}
}

func TestStaffedAtS9Window(t *testing.T) {
	tests := []struct {
		name   string
		reason string
		edit   func(*v1alpha1.Queue)
		now    string
		want   bool
	}{
		{"Queue", "a queue is always open", func(*v1alpha1.Queue) {}, "03:00:00", true},
		{"BeforeWindow", "the last second before", window("09:00:00", "17:00:00"), "08:59:59", false},
		{"Opens", "to the second", window("09:00:00", "17:00:00"), "09:00:00", true},
		{"LastSecond", "the window's end is not part of it", window("09:00:00", "17:00:00"), "16:59:59", true},
		{"Closes", "to the second", window("09:00:00", "17:00:00"), "17:00:00", false},
		{"OpenStart", "a start left out is open", window("", "17:00:00"), "00:00:00", true},
		{"OpenEnd", "an end left out is open", window("09:00:00", ""), "23:59:59", true},
		{"WindowOfAQueue", "a window without the type Campaign counts for nothing", func(q *v1alpha1.Queue) {
			window("09:00:00", "17:00:00")(q)
			q.Spec.Type = v1alpha1.QueueTypeQueue
		}, "03:00:00", true},
		{"NameTaken", "nobody serves a queue whose name is somebody else's", func(q *v1alpha1.Queue) {
			q.Status.Conditions = append(q.Status.Conditions, condition(ReasonNameTaken))
		}, "12:00:00", false},
		{"OtherConflict", "a taken extension closes nothing", func(q *v1alpha1.Queue) {
			q.Status.Conditions = append(q.Status.Conditions, condition("ExtensionTaken"))
		}, "12:00:00", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			q := queue("support")
			tt.edit(q)
			if got := ViewQueue(q).staffedAt(at(tt.now)); got != tt.want {
				t.Errorf("%s: got %t", tt.reason, got)
			}
		})
	}
}
