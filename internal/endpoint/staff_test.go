package endpoint

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync/atomic"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"roster.dev/roster/internal/live"
	"roster.dev/roster/internal/telephony"
)

const staffPath = "/v1alpha1/namespaces/acme/staff"

func TestStaffListC9(t *testing.T) {
	r := newRig(t, nil)
	r.staffed.SetAgent(member("alice", "billing", "support"))
	r.staffed.SetAgent(member("bob", "support"))
	r.see("alice", telephony.DeviceIdle)
	code, body := r.do(http.MethodGet, staffPath+"?queue=support&color=green", "carla", "")
	r.Expect(code).To(Equal(http.StatusOK), body)
	var list staffList
	r.Expect(json.Unmarshal([]byte(body), &list)).To(Succeed())
	r.Expect(list.Kind).To(Equal("StaffList"))
	r.Expect(list.APIVersion).To(Equal("staff.roster.dev/v1alpha1"))
	r.Expect(list.Items).To(HaveLen(1))
	row := list.Items[0]
	r.Expect(row.Since).To(BeTemporally("~", time.Now(), 5*time.Second))
	row.Since = time.Time{}
	r.Expect(row).To(Equal(live.Row{
		Queue: "support", Channel: "Voice", Agent: "alice", DisplayName: "alice", Stars: 3,
		Via: member("", "x").Status.Queues[0].Via, Color: "Green", Detail: "available",
	}))

	_, body = r.do(http.MethodGet, staffPath+"?queue=nothing", "carla", "")
	r.Expect(json.Unmarshal([]byte(body), &list)).To(Succeed())
	r.Expect(list.Items).To(BeEmpty())
	r.Expect(body).To(ContainSubstring(`"items":[]`))
}

// An empty list of a manager that has just started would look like a centre without people.
func TestStaffBeforeTheCachesAreFilled(t *testing.T) {
	var synced atomic.Bool
	r := newRig(t, func(o *Options) { o.Synced = synced.Load })
	for _, query := range []string{"", "?watch=1"} {
		code, body := r.do(http.MethodGet, staffPath+query, "carla", "")
		r.Expect(code).To(Equal(http.StatusServiceUnavailable), body)
	}
	synced.Store(true)
	code, _ := r.do(http.MethodGet, staffPath, "carla", "")
	r.Expect(code).To(Equal(http.StatusOK))
}

func TestStaffTable(t *testing.T) {
	r := newRig(t, nil)
	alice := member("alice", "support")
	alice.Spec.DisplayName = "Alice\x1b[2J Martin"
	r.staffed.SetAgent(alice)
	_, body := r.do(http.MethodGet, staffPath+"?format=table", "carla", "")
	r.Expect(body).To(Equal("" +
		"QUEUE    CHANNEL  AGENT  NAME              GROUP  STARS  VIA         COLOR        SINCE  DETAIL\n" +
		"support  Voice    alice  Alice?[2J Martin  -      ***    Team/north  NotObserved  -      no server is connected\n"))
	request, _ := http.NewRequest(http.MethodGet, r.url+staffPath, nil)
	request.Header = http.Header{"Authorization": {"Bearer carla"}, "Accept": {"text/plain"}}
	response, err := r.client.Do(request)
	r.Expect(err).NotTo(HaveOccurred())
	defer response.Body.Close()
	r.Expect(response.Header.Get("Content-Type")).To(HavePrefix("text/plain"))
}

func TestParseStaff(t *testing.T) {
	for _, c := range []struct {
		query   string
		filter  live.Filter
		demand  Demand
		refused string
	}{
		{query: "", demand: mayRead},
		{query: "watch=1", demand: mayFollow},
		{query: "watch=0&format=table", demand: mayRead},
		{query: "queue=a,b&queue=c,a&queue=", filter: live.Filter{Queues: []string{"a", "b", "c"}}, demand: mayRead},
		{query: "color=red&channel=sms,VOICE", filter: live.Filter{Colors: []string{"Red"}, Channels: []string{"SMS", "Voice"}}, demand: mayRead},
		{query: "agent=alice", filter: live.Filter{Agents: []string{"alice"}},
			demand: Demand{"acme", "get", "live", "alice"}},
		{query: "agent=alice,bob&watch=true", filter: live.Filter{Agents: []string{"alice", "bob"}}, demand: mayFollow},
		{query: "group=north", filter: live.Filter{Groups: []string{"north"}}, demand: mayRead},
		{query: "token=secret", refused: `there is no parameter "token": there are queue, group,`},
		{query: "color=blue", refused: "parameter color is one of Grey, Orange, Red, Green, NotObserved"},
		{query: "channel=Telex", refused: "parameter channel is one of Voice,"},
		{query: "watch=maybe", refused: "parameter watch is one of"},
		{query: "format=xml", refused: "parameter format is one of json, table"},
		{query: "watch=1&format=table", refused: "format=table is for a list"},
	} {
		t.Run(c.query, func(t *testing.T) {
			g := NewWithT(t)
			values, err := url.ParseQuery(c.query)
			g.Expect(err).NotTo(HaveOccurred())
			q, f := parseStaff(values, "*/*")
			if c.refused != "" {
				g.Expect(f).NotTo(BeNil())
				g.Expect(f.code).To(Equal(http.StatusBadRequest))
				g.Expect(f.message).To(ContainSubstring(c.refused))
				return
			}
			g.Expect(f).To(BeNil())
			g.Expect(q.filter).To(Equal(c.filter))
			g.Expect(q.demand("acme")).To(Equal(c.demand))
		})
	}
}

func TestRoutes(t *testing.T) {
	r := newRig(t, nil)
	r.desk.allow("alice", Demand{"acme", "get", "live", "alice"})
	for _, c := range []struct {
		method, path, token string
		code                int
	}{
		{"GET", staffPath, "", 401},
		{"GET", staffPath, "stranger", 401},
		{"GET", staffPath, "carla", 200},
		{"GET", staffPath + "?agent=alice", "alice", 200},
		{"GET", staffPath, "alice", 403},
		{"GET", staffPath + "?agent=bob", "alice", 403},
		{"GET", "/v1alpha1/namespaces/other/staff", "carla", 403},
		{"GET", staffPath + "?nonsense=1", "carla", 400},
		{"GET", staffPath + "?queue=%zz", "carla", 400},
		{"POST", staffPath, "carla", 405},
		{"GET", "/v1alpha1/namespaces/acme/agents/alice/password", "carla", 405},
		{"GET", bookPath, "carla", 200},
		{"GET", bookPath, "stranger", 401},
		{"GET", bookPath + "?agent=alice", "alice", 200},
		{"GET", bookPath + "?agent=alice&watch=1", "alice", 403},
		{"GET", bookPath + "?agent=alice,bob", "alice", 403},
		{"GET", bookPath + "?agent=", "alice", 403},
		{"GET", bookPath, "alice", 403},
		{"GET", bookPath + "?queue=support", "carla", 400},
		{"DELETE", bookPath, "carla", 405},
		{"GET", agendaPath, "carla", 200},
		{"GET", agendaPath, "", 401},
		{"GET", agendaPath + "?agent=alice", "alice", 200},
		{"GET", agendaPath + "?agent=bob", "alice", 403},
		{"GET", agendaPath, "alice", 403},
		{"GET", "/v1alpha1/namespaces/other/agenda", "carla", 403},
		{"GET", "/v1alpha1/namespaces/acme/calendar", "carla", 404},
		{"GET", "/v1alpha1/namespaces/No%20Name/staff", "carla", 404},
		{"GET", "/metrics", "carla", 404},
	} {
		code, body := r.do(c.method, c.path, c.token, "")
		r.Expect(code).To(Equal(c.code), "%s %s as %q: %s", c.method, c.path, c.token, body)
		if code != 200 {
			r.Expect(statusOf(r.GomegaWithT, body).Code).To(BeEquivalentTo(code))
		}
	}
}

func TestFollow(t *testing.T) {
	r := newRig(t, func(o *Options) { o.Heartbeat = 100 * time.Millisecond })
	r.staffed.SetAgent(member("alice", "support"))
	s := r.follow(staffPath+"?watch=1", "carla")
	e, _ := s.next(r.GomegaWithT, time.Second)
	r.Expect(e.Type).To(Equal("STATE"))
	var list staffList
	r.Expect(json.Unmarshal(e.Object, &list)).To(Succeed())
	r.Expect(list.Items).To(HaveLen(1))
	r.see("alice", telephony.DeviceInUse)
	e, row := s.next(r.GomegaWithT, time.Second)
	r.Expect(e.Type).To(Equal("MODIFIED"))
	r.Expect(string(row.Color)).To(Equal("Red"))
	r.staffed.SetAgent(member("bob", "support"))
	e, row = s.next(r.GomegaWithT, time.Second)
	r.Expect(e.Type + " " + row.Agent).To(Equal("ADDED bob"))
	r.staffed.RemoveAgent("acme", "bob")
	e, row = s.next(r.GomegaWithT, time.Second)
	r.Expect(e.Type + " " + row.Agent).To(Equal("DELETED bob"))
	r.Eventually(s.lines).Should(Receive(Equal(": alive")))
	r.Eventually(s.lines).Should(Receive(Equal(": alive")))
	s.close()
	r.Eventually(func() int { return len(r.server.followers) }).Should(BeZero())
}

func TestFollowerWithoutRightEnds(t *testing.T) {
	r := newRig(t, func(o *Options) { o.Review = 30 * time.Millisecond })
	end := func(code int, change func()) {
		r.Helper()
		s := r.follow(staffPath+"?watch=1", "carla")
		e, _ := s.next(r.GomegaWithT, time.Second)
		r.Expect(e.Type).To(Equal("STATE"))
		change()
		e, _ = s.next(r.GomegaWithT, 5*time.Second)
		r.Expect(e.Type).To(Equal("ERROR"))
		r.Expect(statusOf(r.GomegaWithT, string(e.Object)).Code).To(BeEquivalentTo(code))
		e, _ = s.next(r.GomegaWithT, 5*time.Second)
		r.Expect(e.Type).To(BeEmpty(), "the stream goes on")
	}
	end(403, func() { r.desk.allow("carla", mayRead) })
	r.desk.allow("carla", mayFollow)
	r.later(time.Minute)
	end(401, func() { r.desk.dismiss("carla") })
	r.desk.allow("carla", mayFollow)
	r.later(time.Minute)
	end(503, func() { r.desk.fail(errors.New("connection refused")) })
}

func TestFollowerOutlivesARestartOfTheAPIServer(t *testing.T) {
	r := newRig(t, func(o *Options) { o.Review = 100 * time.Millisecond; o.Heartbeat = 50 * time.Millisecond })
	s := r.follow(staffPath+"?watch=1", "carla")
	s.next(r.GomegaWithT, time.Second)
	asked := r.desk.asked()
	r.desk.fail(errors.New("connection refused"))
	r.Eventually(r.desk.asked, "2s", "5ms").Should(BeNumerically(">", asked))
	r.desk.fail(nil)
	asked = r.desk.asked()
	r.Eventually(r.desk.asked, "2s", "5ms").Should(BeNumerically(">=", asked+maximumUnreviewed+1))
	r.Expect(s.lines).NotTo(BeClosed())
	r.see("alice", telephony.DeviceIdle)
	r.staffed.SetAgent(member("alice", "support"))
	e, _ := s.next(r.GomegaWithT, time.Second)
	r.Expect(e.Type).To(Equal("ADDED"))
}

func TestFollowersAreLimited(t *testing.T) {
	r := newRig(t, nil)
	r.server.followers = make(chan struct{}, 1)
	s := r.follow(staffPath+"?watch=1", "carla")
	code, body := r.do(http.MethodGet, staffPath+"?watch=1", "carla", "")
	r.Expect(code).To(Equal(http.StatusTooManyRequests), body)
	s.close()
	r.Eventually(func() int { return len(r.server.followers) }).Should(BeZero())
	r.follow(staffPath+"?watch=1", "carla")
}

// A client that does not read holds up nobody, and has the newest state when it reads again.
func TestSlowFollower(t *testing.T) {
	r := newRig(t, nil)
	const people = 20_000
	name := func(i int) string { return fmt.Sprintf("person-with-a-long-name-%d", i) }
	for i := range people {
		r.staffed.SetAgent(member(name(i), "support"))
	}
	response := r.send(t.Context(), http.MethodGet, staffPath+"?watch=1", "carla", "")
	began := time.Now()
	for round := range 5 {
		for i := range people {
			r.see(name(i), telephony.DeviceState(1+2*(round%2)))
		}
		time.Sleep(2 * pace)
	}
	r.Expect(time.Since(began)).To(BeNumerically("<", 20*time.Second), "the feed waited for the client")
	s := readStream(t, response, func() { _ = response.Body.Close() })
	states := map[string]live.Row{}
	full := 0
	r.see(name(0), telephony.DeviceUnavailable)
	for string(states[name(0)].Color) != "Grey" {
		e, row := s.next(r.GomegaWithT, 20*time.Second)
		r.Expect(e.Type).To(BeElementOf("STATE", "MODIFIED"))
		if e.Type == "STATE" {
			full++
			var list staffList
			r.Expect(json.Unmarshal(e.Object, &list)).To(Succeed())
			r.Expect(list.Items).To(HaveLen(people))
			for _, row := range list.Items {
				states[row.Agent] = row
			}
			continue
		}
		states[row.Agent] = row
	}
	r.Expect(full).To(BeNumerically(">", 1), "the client was never behind: the test proves nothing")
	for i := 1; i < people; i++ {
		r.Expect(string(states[name(i)].Color)).To(Equal("Green"))
	}
}
