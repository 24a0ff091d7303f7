//go:build pbx

package lab

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"roster.dev/roster/hack/asterisk/phone"
	"roster.dev/roster/internal/telephony"
	"roster.dev/roster/internal/telephony/asterisk"
)

// calledFromOutside has clients dial the extensions of centre acme, and nobody wait for long.
func calledFromOutside(o *Options) {
	o.Trunk = "acme"
	o.Local = map[string]string{"extensions_local.conf": "[globals](+)\nKNOWN_CALLER_SECONDS = 2\n"}
}

// caller is a client with a phone.
type caller struct {
	*phone.Phone
	number string
}

// client is somebody outside, who is shown with a number.
func (s *site) client(t *testing.T, number string) caller {
	t.Helper()
	p, err := phone.New(t.Context(), phone.Config{Server: s.SIPAddress, User: number, Network: Outside, Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	return caller{p, number}
}

// known writes the row of a known caller. Without an agent nobody is able.
func (s *site) known(t *testing.T, number, agent, queue string) {
	t.Helper()
	_, err := s.backend.ApplySticky(t.Context(), &telephony.Sticky{Phone: number, Agent: agent, Queue: queue, Case: "CASE-7, refund"})
	if err != nil {
		t.Fatal(err)
	}
}

// desk is a site with people and their phones, which ring: Alice and Bob are in the group's queue, Alice also in sales,
// and Carla is in support.
type desk struct {
	*site
	alice, bob, carla *phone.Phone
}

const (
	supportNumber = "600"
	salesNumber   = "601"
)

func newDesk(t *testing.T, s *site) *desk {
	t.Helper()
	s.queue(t, "support", supportNumber)
	s.queue(t, "sales", salesNumber)
	s.queue(t, "acme.north", "")
	s.agent(t, "alice", "1001", func(a *agent) { a.Memberships = append(in("acme.north"), in("sales")...) })
	s.agent(t, "bob", "1002", func(a *agent) { a.Memberships = in("acme.north") })
	s.agent(t, "carla", "1003", func(a *agent) { a.Memberships = in("support") })
	return &desk{s, s.phone(t, "alice", phone.Ring()), s.phone(t, "bob", phone.Ring()), s.phone(t, "carla", phone.Ring())}
}

// idle waits until people's phones can be rung.
func (s *site) idle(t *testing.T, names ...string) {
	t.Helper()
	for _, name := range names {
		until(t, name+"'s phone is free", func() bool {
			return strings.Contains(s.cli(t, "pjsip show endpoint "+name), "Not in use")
		})
	}
}

// rings are how many calls came to Alice, Bob and Carla.
type rings [3]int

// some is any number of calls: whoever does not answer may be called once more with the group, or be busy with that still.
const some = -1

func (d *desk) rings() rings {
	return rings{len(d.alice.Incoming()), len(d.bob.Incoming()), len(d.carla.Incoming())}
}

// comes waits for one more call than a phone had.
func comes(t *testing.T, to *phone.Phone, had int) *phone.Call {
	t.Helper()
	until(t, "a call comes", func() bool { return len(to.Incoming()) > had })
	return to.Incoming()[had]
}

// reaches has a client call a queue, and one person answer and hang up. It wants the phones rung so many times, and no more.
func (d *desk) reaches(t *testing.T, from caller, number string, who *phone.Phone, want rings) {
	t.Helper()
	before, had := d.rings(), len(who.Incoming())
	call, err := from.Dial(number)
	if err != nil {
		t.Fatal(err)
	}
	in := comes(t, who, had)
	if got := in.CallerNumber(); got != from.number {
		t.Errorf("%s is shown, not %s", got, from.number)
	}
	if err := in.Answer(); err != nil {
		t.Fatal(err)
	}
	answered(t, in)
	answered(t, call)
	// That is the end of the call, and not of one step.
	hangUp(t, in)
	if !ended(t, call, 5*time.Second) {
		t.Error("the call goes on after it was answered")
		hangUp(t, call)
	}
	d.wants(t, before, want)
}

// wants that so many calls came since.
func (d *desk) wants(t *testing.T, since, want rings) {
	t.Helper()
	got := d.rings()
	for i := range got {
		if got[i] -= since[i]; want[i] == some {
			got[i] = some
		}
	}
	if got != want {
		t.Errorf("Alice, Bob and Carla were called %v times, not %v", got, want)
	}
}

// A known caller reaches the person who is responsible, else the group, else the queue that was dialled.
func TestKnownCallerO8(t *testing.T) {
	test := func(t *testing.T, s *site) {
		d := newDesk(t, s)
		ada, eve := s.client(t, "+390699999"), s.client(t, "+390688888")
		s.known(t, ada.number, "alice", "acme.north")

		there := []string{"alice", "bob", "carla"}
		step := func(name string, test func(t *testing.T)) {
			if ok := t.Run(name, func(t *testing.T) {
				d.idle(t, there...)
				test(t)
			}); !ok {
				t.FailNow()
			}
		}
		step("nobody knows her", func(t *testing.T) {
			d.reaches(t, eve, supportNumber, d.carla, rings{0, 0, 1})
		})
		step("the person is paused in a queue that is not in memory yet", func(t *testing.T) {
			s.exec(t, "UPDATE queue_members SET paused = 1 WHERE queue_name = 'acme.north' AND interface = ?", "PJSIP/alice")
			d.reaches(t, ada, supportNumber, d.bob, rings{0, 1, 0})
			s.pause(t, "acme.north", "alice", false)
		})
		step("the person answers", func(t *testing.T) {
			d.reaches(t, ada, supportNumber, d.alice, rings{1, 0, 0})
		})
		step("the case is told", func(t *testing.T) {
			had := len(d.alice.Incoming())
			call, err := ada.Dial(supportNumber)
			if err != nil {
				t.Fatal(err)
			}
			if err := comes(t, d.alice, had).Answer(); err != nil {
				t.Fatal(err)
			}
			answered(t, call)
			for prefix, told := range map[string]string{"PJSIP/alice-": "ROSTER_CASE=CASE-7, refund", "PJSIP/outside-": "userfield=CASE-7, refund"} {
				for _, channel := range s.channels(t) {
					if out := s.cli(t, "core show channel "+channel); strings.HasPrefix(channel, prefix) && !strings.Contains(out, told) {
						t.Errorf("%s is not told %q:\n%s", channel, told, out)
					}
				}
			}
			hangUp(t, call)
		})
		step("the caller gives up while the person is called", func(t *testing.T) {
			before := d.rings()
			call, err := ada.Dial(supportNumber)
			if err != nil {
				t.Fatal(err)
			}
			in := comes(t, d.alice, before[0])
			hangUp(t, call)
			if !ended(t, in, 5*time.Second) {
				t.Error("her phone rings on")
			}
			time.Sleep(time.Second)
			d.wants(t, before, rings{1, 0, 0})
		})
		step("the person is in another call", func(t *testing.T) {
			before := len(d.alice.Incoming())
			other := make(chan *phone.Call, 1)
			go func() {
				c, _ := d.carla.Call(t.Context(), "1001")
				other <- c
			}()
			if err := comes(t, d.alice, before).Answer(); err != nil {
				t.Fatal(err)
			}
			c := <-other
			d.reaches(t, ada, supportNumber, d.bob, rings{0, 1, 0})
			hangUp(t, c)
		})
		step("the person does not answer", func(t *testing.T) {
			d.reaches(t, ada, supportNumber, d.bob, rings{some, 1, 0})
		})
		step("the person refuses", func(t *testing.T) {
			d.alice.Handle(phone.Busy())
			d.reaches(t, ada, supportNumber, d.bob, rings{some, 1, 0})
			d.alice.Handle(phone.Ring())
		})
		step("the person pauses in the queue that is dialled", func(t *testing.T) {
			s.pause(t, "sales", "alice", true)
			d.reaches(t, ada, salesNumber, d.bob, rings{1, 1, 0})
			s.pause(t, "sales", "alice", false)
		})
		step("the person pauses in the group", func(t *testing.T) {
			s.pause(t, "acme.north", "alice", true)
			d.reaches(t, ada, supportNumber, d.bob, rings{0, 1, 0})
			s.pause(t, "acme.north", "alice", false)
		})
		step("the person is on leave since a moment ago", func(t *testing.T) {
			s.exec(t, "UPDATE roster_agents SET phase = 'OnLeave' WHERE name = ?", "alice")
			d.reaches(t, ada, supportNumber, d.bob, rings{1, 1, 0}) // the group's queue has her still
			s.exec(t, "UPDATE roster_agents SET phase = 'Active' WHERE name = ?", "alice")
		})
		step("nobody of the group answers", func(t *testing.T) {
			d.reaches(t, ada, supportNumber, d.carla, rings{some, 1, 1})
		})
		step("nobody is responsible", func(t *testing.T) {
			s.known(t, ada.number, "", "acme.north")
			d.reaches(t, ada, supportNumber, d.alice, rings{1, 1, 0})
		})
		step("there is no group", func(t *testing.T) {
			s.known(t, ada.number, "alice", "")
			d.reaches(t, ada, supportNumber, d.carla, rings{1, 0, 1})
		})
		if got := s.complaints(); len(got) > 0 {
			t.Errorf("the log has %v", got)
		}
		step("the group has no queue", func(t *testing.T) {
			s.known(t, ada.number, "", "acme.nowhere")
			d.reaches(t, ada, supportNumber, d.carla, rings{0, 0, 1})
		})
		step("the person is not signed in", func(t *testing.T) {
			s.known(t, ada.number, "alice", "acme.north")
			if status, err := d.alice.Unregister(t.Context()); status != 200 {
				t.Fatalf("%d, %v", status, err)
			}
			until(t, "Alice's phone is gone", func() bool {
				return strings.Contains(d.cli(t, "pjsip show endpoint alice"), "Unavailable")
			})
			there = there[1:]
			d.reaches(t, ada, supportNumber, d.bob, rings{0, 1, 0})
		})
		step("nobody of the group is there", func(t *testing.T) {
			s.pause(t, "acme.north", "bob", true)
			d.reaches(t, ada, supportNumber, d.carla, rings{0, 0, 1})
		})
		step("the table is missing", func(t *testing.T) {
			s.exec(t, "ALTER TABLE roster_sticky RENAME TO roster_sticky_gone")
			d.reaches(t, ada, supportNumber, d.carla, rings{0, 0, 1})
			d.reaches(t, ada, supportNumber, d.carla, rings{0, 0, 1})
		})
	}
	for version, database := range map[string]string{"22": asterisk.TypePostgreSQL, "16": asterisk.TypeSQLite} {
		t.Run(version+"/"+database, func(t *testing.T) { test(t, newSite(t, version, database, calledFromOutside)) })
	}
}

// complaints are the warnings and errors that calls left in the log.
func (s *site) complaints() (list []string) {
	for line := range strings.Lines(s.LogTail(1 << 20)) {
		if strings.Contains(line, "][C-") && (strings.Contains(line, "WARNING[") || strings.Contains(line, "ERROR[")) {
			list = append(list, strings.TrimSpace(line))
		}
	}
	return list
}

// pause sets or lifts a person's own pause, as a soft phone's button does.
func (s *site) pause(t *testing.T, queue, agent string, paused bool) {
	t.Helper()
	response, _ := ask(t, s.manager(t), "QueuePause", "Queue", queue, "Interface", "PJSIP/"+agent, "Paused", strconv.FormatBool(paused))
	if response.Get("Response") != "Success" {
		t.Fatalf("QueuePause: %v", response)
	}
}

// A number is found however the provider writes it, and nothing else is taken for one.
func TestNumbersOfCallersO8(t *testing.T) {
	onBoth(t, func(t *testing.T, s *site) {
		s.queue(t, "support", "")
		s.agent(t, "alice", "1001", nil)
		s.agent(t, "bob", "1002", nil)
		s.agent(t, "carla", "1003", func(a *agent) { a.Memberships = in("support") })
		alice, carla := s.phone(t, "alice", phone.Ring()), s.phone(t, "carla", phone.Ring())
		s.idle(t, "alice", "carla")
		for _, centre := range []string{"acme", "berlin", "other"} {
			s.exec(t, "INSERT INTO roster_extensions (key, center, queue) VALUES (?, 'acme', 'support')", centre+"/600")
		}
		for _, key := range []string{
			"acme/+390699999", "acme/+393331234567", "acme/+3906123", "acme/+391002", "acme/+1002", "acme/+12125551234",
			"berlin/+4930123456", "berlin/+30123456", "other/+390699999",
		} {
			s.exec(t, "INSERT INTO roster_sticky (key, interface, agent, queue, case_id) VALUES (?, 'PJSIP/alice', 'alice', '', 'CASE-7')", key)
		}

		rings := func(t *testing.T, from *phone.Phone, number string, who *phone.Phone) {
			t.Helper()
			a, c := len(alice.Incoming()), len(carla.Incoming())
			call, err := from.Dial(number)
			if err != nil {
				t.Fatal(err)
			}
			until(t, "a phone rings", func() bool { return len(alice.Incoming())+len(carla.Incoming()) > a+c })
			if rang := len(alice.Incoming()) > a; rang != (who == alice) {
				t.Errorf("Alice's phone rang: %t", rang)
			}
			hangUp(t, call)
			s.idle(t, "alice", "carla")
		}
		for _, c := range []struct {
			centre string
			// known numbers are Alice's client's, unknown ones are nobody's.
			known, unknown []string
		}{
			{"acme", []string{
				"+390699999", "00390699999", "390699999", "0699999",
				"+393331234567", "3331234567", "393331234567", "12125551234",
				"+39(06)99-999", "06%20123", "%22390699999%22",
			}, []string{
				"699999", "+0699999", "+399999", "000699999", "1002", "+1002", "39", "anonymous", "alice390699999", "390699999x",
				"390699999%2Cx", "$%7BEXTEN%7D390699999",
			}},
			{"berlin", []string{"+4930123456", "004930123456", "4930123456", "030123456", "+30123456", "30123456"}, []string{"+30030123456", "0030123457"}},
			{"other", []string{"+390699999", "00390699999", "390699999"}, []string{"0699999"}},
			{"withheld", nil, []string{"+390699999"}},
		} {
			for who, numbers := range map[*phone.Phone][]string{alice: c.known, carla: c.unknown} {
				for _, number := range numbers {
					t.Run(c.centre+" "+number, func(t *testing.T) { rings(t, s.client(t, number).Phone, c.centre, who) })
				}
			}
		}
		t.Run("a colleague", func(t *testing.T) { rings(t, s.phone(t, "bob", phone.Ring()), "600", carla) })
	}, calledFromOutside, func(o *Options) {
		o.Centers = []string{"acme,39", "berlin,49,0", "other"}
		o.Local["extensions_local.conf"] += "[acme](+)\n" +
			"exten => acme,1,Goto(acme,600,1)\nexten => berlin,1,Goto(berlin,600,1)\nexten => other,1,Goto(other,600,1)\n" +
			"exten => withheld,1,Set(CALLERID(num-pres)=prohib)\n same => n,Goto(acme,600,1)\n"
	})
}

// The trunk that README.md shows is one.
func TestTrunkO8(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "..", "config", "asterisk", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	onBoth(t, func(t *testing.T, s *site) {
		d := newDesk(t, s)
		d.idle(t, "alice", "bob", "carla")
		ada, eve := s.client(t, "0699999"), s.client(t, "+390688888")
		s.known(t, "+390699999", "alice", "acme.north")
		for _, number := range []string{"+390655501", "+390655502"} {
			d.reaches(t, ada, number, d.alice, rings{1, 0, 0})
			d.idle(t, "alice")
		}
		d.reaches(t, eve, "+390655501", d.carla, rings{0, 0, 1})
		d.reaches(t, eve, "+390655502", d.alice, rings{1, 0, 0}) // one of sales
		for _, number := range []string{"390655501", "+390655503", "600", "1001", "*551001"} {
			dial(t, eve.Phone, number, 404)
		}
	}, func(o *Options) {
		o.Local = map[string]string{}
		for _, name := range []string{"pjsip_local.conf", "extensions_local.conf"} {
			_, block, ok := strings.Cut(string(text), "```ini\n; "+name+"\n")
			if !ok {
				t.Fatalf("README.md shows no %s", name)
			}
			block, _, _ = strings.Cut(block, "```")
			o.Local[name] = strings.Replace(block, "match = 203.0.113.0/24", outsideCalls, 1)
		}
	})
}
