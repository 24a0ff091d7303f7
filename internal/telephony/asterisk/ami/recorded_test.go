package ami_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"roster.dev/roster/internal/telephony/asterisk/ami"
	"roster.dev/roster/internal/telephony/asterisk/ami/amitest"
)

// eachAsterisk runs a test with what was recorded of each version.
func eachAsterisk(t *testing.T, name string, test func(*testing.T, *amitest.Server, *amitest.Recording)) {
	t.Helper()
	folders, _ := filepath.Glob("testdata/asterisk-*")
	if len(folders) != 2 {
		t.Fatalf("recordings of %v, want two versions", folders)
	}
	for _, folder := range folders {
		t.Run(filepath.Base(folder), func(t *testing.T) {
			s := amitest.Start(t)
			recording := amitest.Read(t, filepath.Join(folder, name+".txt"))
			s.Replay(t, recording)
			test(t, s, recording)
		})
	}
}

func TestRecordedRefusal(t *testing.T) {
	eachAsterisk(t, "refused", func(t *testing.T, s *amitest.Server, _ *amitest.Recording) {
		if _, err := ami.Dial(t.Context(), config(s)); !errors.Is(err, ami.ErrLogin) {
			t.Errorf("got %v", err)
		}
	})
}

// ask asks an exchange's action and returns the items of a list, the answer, and the failure.
func ask(t *testing.T, conn *ami.Conn, e amitest.Exchange) (items []map[string]string, answer *ami.Message, err error) {
	t.Helper()
	action := ami.NewAction(e.Action, e.Fields...)
	if !strings.Contains(e.Said, "EventList: start") {
		answer, err = conn.Do(t.Context(), action)
		return nil, answer, err
	}
	err = conn.List(t.Context(), action, func(m *ami.Message) {
		item := map[string]string{}
		for k, v := range m.All {
			item[k] = v
		}
		items = append(items, item)
	})
	return items, nil, err
}

func TestRecordedDenials(t *testing.T) {
	eachAsterisk(t, "denied", func(t *testing.T, s *amitest.Server, recording *amitest.Recording) {
		c := config(s)
		c.Events = "system"
		c.OnEvent = func(*ami.Message) { t.Error("an event that the account may not read") }
		conn := dial(t, c)
		for _, e := range recording.Exchanges[1:] {
			_, answer, err := ask(t, conn, e)
			if e.Action == "ListCommands" {
				if err != nil || answer.Get("QueueRemove") == "" || answer.Get("Filter") != "" {
					t.Errorf("the actions allowed are not there: %v", err)
				}
			} else if !errors.Is(err, ami.ErrDenied) {
				t.Errorf("%s: %v", e.Action, err)
			}
		}
	})
}

func TestRecordedActions(t *testing.T) {
	eachAsterisk(t, "actions", func(t *testing.T, s *amitest.Server, recording *amitest.Recording) {
		c := config(s)
		c.Events = "system"
		booted := false
		c.OnEvent = func(m *ami.Message) { booted = booted || m.Is("Event", "FullyBooted") }
		conn := dial(t, c)
		got := map[string]string{}
		for _, e := range recording.Exchanges[1:] {
			items, answer, err := ask(t, conn, e)
			key := strings.Join(append([]string{e.Action}, e.Fields...), " ")
			for got[key] != "" {
				key += " again"
			}
			switch {
			case err != nil:
				got[key] = err.Error()
			case answer != nil && answer.Get("Message") != "":
				got[key] = answer.Get("Message")
			case answer != nil:
				got[key] = "fine"
			default:
				got[key] = fmt.Sprint(len(items), " items")
			}
			switch key {
			case "ListCommands":
				if answer.Get("QueueRemove") == "" || answer.Get("Redirect") == "" || answer.Get("Command") != "" {
					t.Error("the actions allowed are not listed")
				}
			case "QueueStatus Queue support":
				checkSupport(t, items, strings.Contains(t.Name(), "22"))
			case "Ping":
				if answer.Get("Ping") != "Pong" || answer.Get("Timestamp") == "" {
					t.Error("no Pong")
				}
			}
		}
		if !booted {
			t.Error("FullyBooted was not told")
		}
		want := map[string]string{
			"ListCommands":                                          "fine",
			"QueueStatus Queue support":                             "5 items",
			"QueueStatus Queue support Member PJSIP/bob-lee":        "2 items",
			"QueueStatus Queue nosuch":                              "0 items",
			"QueueSummary Queue support":                            "1 items",
			"QueueSummary Queue nosuch":                             "0 items",
			"QueueRemove Queue support Interface PJSIP/alice":       "Removed interface from queue",
			"QueueRemove Queue support Interface PJSIP/alice again": "QueueRemove: Unable to remove interface: Not there",
			"QueueRemove Queue support Interface PJSIP/bob-lee":     "QueueRemove: Member not dynamic",
			"QueueRemove Queue nosuch Interface PJSIP/alice":        "QueueRemove: Unable to remove interface from queue: No such queue",
			"Filter Operation Add Filter (bad[":                     "Filter: Filter did not compile.  Check the syntax of the filter given.",
			"Nonsense":                                              "Nonsense: Invalid/unknown command: Nonsense. Use Action: ListCommands to show available commands.",
			"PJSIPShowContacts":                                     "PJSIPShowContacts: No Contacts found",
			"Logoff":                                                "Thanks for all the fish.",
		}
		for key, text := range want {
			if got[key] != text {
				t.Errorf("%s: %q, want %q", key, got[key], text)
			}
		}
		for key, text := range got {
			if strings.HasPrefix(key, "Hangup Channel PJSIP/alice-martin-") {
				if want := map[bool]string{false: "Channel Hungup", true: "Hangup: No such channel"}[strings.HasSuffix(key, "again")]; text != want {
					t.Errorf("%s: %q, want %q", key, text, want)
				}
			}
		}
		for _, list := range []string{"DeviceStateList", "CoreShowChannels"} {
			if n := got[list]; !strings.HasSuffix(n, " items") || n == "0 items" {
				t.Errorf("%s: %q", list, n)
			}
		}
	})
}

// checkSupport looks into the items of a queue with a realtime, a paused and a dynamic member.
func checkSupport(t *testing.T, items []map[string]string, reasons bool) {
	t.Helper()
	members := map[string]map[string]string{}
	for _, item := range items {
		if item["Event"] == "QueueMember" {
			members[item["Location"]] = item
		}
	}
	bob, alice, caller := members["PJSIP/bob-lee"], members["PJSIP/alice"], members["PJSIP/alice-martin"]
	reason := map[bool]string{true: "Lunch", false: ""}[reasons] // Asterisk 16 does not read it
	if bob["Paused"] != "1" || bob["PausedReason"] != reason || bob["Membership"] != "static" || bob["Penalty"] != "2" {
		t.Errorf("paused: %v", bob)
	}
	if alice["Membership"] != "dynamic" || alice["Name"] != "Alice, the first" {
		t.Errorf("dynamic: %v", alice)
	}
	if value, ok := caller["PausedReason"]; !ok || value != "" || caller["InCall"] != "1" || caller["Status"] != "2" {
		t.Errorf("in a call: %v", caller)
	}
}

func TestRecordedEvents(t *testing.T) {
	eachAsterisk(t, "events", func(t *testing.T, s *amitest.Server, recording *amitest.Recording) {
		last := recording.Exchanges[len(recording.Exchanges)-1]
		want := strings.Count(last.Said, "\r\nEvent: ")
		counts := map[string]int{}
		var reasons []string
		done := make(chan struct{})
		c := config(s)
		c.OnEvent = func(m *ami.Message) {
			counts[m.Get("Event")]++
			if m.Is("Event", "QueueMemberPause") {
				reasons = append(reasons, m.Get("PausedReason"))
			}
			total := 0
			for _, n := range counts {
				total += n
			}
			if total == want {
				close(done)
			}
		}
		conn := dial(t, c)
		for _, e := range recording.Exchanges[1:] {
			if _, _, err := ask(t, conn, e); err != nil {
				t.Fatalf("%s %s: %v", e.Action, e.Fields, err)
			}
		}
		<-done
		for _, event := range []string{
			"QueueMemberStatus", "QueueMemberPause", "QueueMemberPenalty", "QueueMemberAdded", "QueueMemberRemoved",
			"QueueMemberRinginuse", "DeviceStateChange", "Newchannel", "Hangup", "ChanSpyStart", "ChanSpyStop",
			"ContactStatus", "AgentConnect", "AgentComplete",
		} {
			if counts[event] == 0 {
				t.Errorf("no %s was told", event)
			}
		}
		if wantReason := "Coffee: ten minutes"; !slices.Contains(reasons, wantReason) || reasons[len(reasons)-1] != "" {
			t.Errorf("reasons %q", reasons)
		}
	})
}
