package endpoint

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"roster.dev/roster/api/v1alpha1"
	"roster.dev/roster/internal/book"
)

const (
	bookPath   = "/v1alpha1/namespaces/acme/book"
	agendaPath = "/v1alpha1/namespaces/acme/agenda"
)

var monday = time.Date(2026, 11, 30, 8, 0, 0, 0, time.UTC)

// held is an open case of client Ada in namespace acme that people hold, with a next action and an appointment.
func held(name string, people ...string) *v1alpha1.CaseAssignment {
	a := &v1alpha1.CaseAssignment{ObjectMeta: metav1.ObjectMeta{Namespace: "acme", Name: name}}
	a.Spec.Case = &v1alpha1.Case{ID: "CASE-" + name, Title: "Refund"}
	a.Spec.Client = &v1alpha1.Client{ID: "C-99", Name: "Ada Byron", Phones: []v1alpha1.PhoneNumber{"+390699999", "+390688888"}}
	a.Spec.Group = "north"
	a.Spec.State = v1alpha1.CaseOpen
	a.Spec.NextActionTime = ptr.To(metav1.NewTime(monday))
	a.Spec.Appointment = &v1alpha1.Appointment{
		StartTime: metav1.NewTime(monday.Add(time.Hour)), EndTime: metav1.NewTime(monday.Add(2 * time.Hour)), TimeZone: "Europe/Rome",
	}
	a.Status.Assignees = holders(people...)
	return a
}

func holders(people ...string) (list []v1alpha1.EffectiveAssignee) {
	for _, p := range people {
		list = append(list, v1alpha1.EffectiveAssignee{
			Name: v1alpha1.AgentName(p), Via: v1alpha1.ViaDeclared, Since: metav1.NewTime(monday),
		})
	}
	return list
}

type listed[T any] struct {
	Kind, APIVersion string
	Items            []T
}

func read[T any](g *GomegaWithT, text string) (list listed[T]) {
	g.Expect(json.Unmarshal([]byte(text), &list)).To(Succeed(), text)
	return list
}

func TestBookS7(t *testing.T) {
	r := newRig(t, nil)
	r.books.Set(held("b", "alice", "bob"))
	covered := held("a", "bob")
	covered.Spec.Client.Name = "Bo\x1b[2J"
	covered.Status.Assignees[0].Via, covered.Status.Assignees[0].Covers = v1alpha1.ViaBackup, "alice"
	r.books.Set(covered)

	code, body := r.do(http.MethodGet, bookPath+"?agent=alice", "carla", "")
	r.Expect(code).To(Equal(http.StatusOK), body)
	r.Expect(body).To(MatchJSON(`{"kind": "BookList", "apiVersion": "staff.roster.dev/v1alpha1", "metadata": {}, "items": [{
		"agent": "alice", "client": {"id": "C-99", "name": "Ada Byron", "phones": ["+390699999", "+390688888"]},
		"case": {"id": "CASE-b", "title": "Refund"}, "assignment": "b", "via": "Declared", "since": "2026-11-30T08:00:00Z",
		"responsible": true, "group": "north"}]}`))
	_, body = r.do(http.MethodGet, bookPath+"?agent=nobody", "carla", "")
	r.Expect(body).To(ContainSubstring(`"items":[]`))
	_, body = r.do(http.MethodGet, bookPath+"?agent=bob,alice", "carla", "")
	r.Expect(read[book.ClientEntry](r.GomegaWithT, body).Items).To(HaveLen(3))
	_, body = r.do(http.MethodGet, bookPath+"?format=table", "carla", "")
	r.Expect(body).To(Equal("" +
		"AGENT  CLIENT  NAME       PHONES                 CASE    TITLE   ASSIGNMENT  VIA       COVERS  RESPONSIBLE  GROUP  SINCE\n" +
		"alice  C-99    Ada Byron  +390699999,+390688888  CASE-b  Refund  b           Declared  -       yes          north  2026-11-30T08:00:00Z\n" +
		"bob    C-99    Ada Byron  +390699999,+390688888  CASE-b  Refund  b           Declared  -       -            north  2026-11-30T08:00:00Z\n" +
		"bob    C-99    Bo?[2J     +390699999,+390688888  CASE-a  Refund  a           Backup    alice   yes          north  2026-11-30T08:00:00Z\n"))

	done := held("b", "alice", "bob")
	done.Spec.State = v1alpha1.CaseCompleted
	r.books.Set(done)
	_, body = r.do(http.MethodGet, bookPath+"?agent=alice", "carla", "")
	r.Expect(read[book.ClientEntry](r.GomegaWithT, body).Items).To(BeEmpty())
}

func TestAgendaS6(t *testing.T) {
	r := newRig(t, nil)
	r.books.Set(held("b", "alice"))
	clientOnly := held("a", "alice")
	clientOnly.Spec.Case, clientOnly.Spec.Appointment = nil, nil
	r.books.Set(clientOnly)
	caseOnly := held("c", "bob")
	caseOnly.Spec.Client, caseOnly.Spec.NextActionTime = nil, nil
	r.books.Set(caseOnly)

	code, body := r.do(http.MethodGet, agendaPath+"?agent=alice", "carla", "")
	r.Expect(code).To(Equal(http.StatusOK), body)
	client := `"client": {"id": "C-99", "name": "Ada Byron", "phones": ["+390699999", "+390688888"]}`
	r.Expect(body).To(MatchJSON(`{"kind": "AgendaList", "apiVersion": "staff.roster.dev/v1alpha1", "metadata": {}, "items": [
		{"agent": "alice", "time": "2026-11-30T08:00:00Z", "kind": "NextAction", ` + client + `, "assignment": "a"},
		{"agent": "alice", "time": "2026-11-30T08:00:00Z", "kind": "NextAction", "case": {"id": "CASE-b", "title": "Refund"}, ` + client + `,
		 "assignment": "b"},
		{"agent": "alice", "time": "2026-11-30T09:00:00Z", "kind": "Appointment", "end": "2026-11-30T10:00:00Z",
		 "timeZone": "Europe/Rome", "case": {"id": "CASE-b", "title": "Refund"}, ` + client + `, "assignment": "b"}]}`))
	_, body = r.do(http.MethodGet, agendaPath+"?format=table&from=2026-11-30T10:00:00%2B01:00", "carla", "")
	r.Expect(body).To(Equal("" +
		"AGENT  TIME                  END                   TIMEZONE     KIND         CLIENT  NAME       CASE    TITLE   ASSIGNMENT\n" +
		"alice  2026-11-30T09:00:00Z  2026-11-30T10:00:00Z  Europe/Rome  Appointment  C-99    Ada Byron  CASE-b  Refund  b\n" +
		"bob    2026-11-30T09:00:00Z  2026-11-30T10:00:00Z  Europe/Rome  Appointment  -       -          CASE-c  Refund  c\n"))
	_, body = r.do(http.MethodGet, agendaPath+"?to=2026-11-30T09:00:00Z", "carla", "")
	r.Expect(read[book.AgendaEntry](r.GomegaWithT, body).Items).To(HaveLen(2))
}

func TestAgendaParameters(t *testing.T) {
	r := newRig(t, nil)
	for query, refused := range map[string]string{
		"from=tomorrow": "parameter from is a time such as 2026-12-01T08:00:00Z",
		"to=":           "parameter to is a time such as",
		"from=2026-12-01T08:00:00Z&to=2026-12-01T09:00:00%2B01:00": "parameter to is a time after from",
		"since=2026-12-01T08:00:00Z":                               `there is no parameter "since": there are from, to, agent, watch (1), format (json, table)`,
		"watch=1&format=table":                                     "format=table is for a list",
		"from=2026-12-01T08:00:00 01:00":                           "", // an unescaped plus
		"from=2026-12-01T08:00:00.5Z&to=2027-01-01T00:00:00Z":      "",
	} {
		values, err := url.ParseQuery(query)
		r.Expect(err).NotTo(HaveOccurred())
		_, f := r.server.agenda("acme", values, "")
		if refused == "" {
			r.Expect(f).To(BeNil(), query)
			continue
		}
		r.Expect(f).NotTo(BeNil(), query)
		r.Expect(f.code).To(Equal(http.StatusBadRequest))
		r.Expect(f.message).To(ContainSubstring(refused))
	}
	_, f := r.server.book("acme", url.Values{"color": {"red"}}, "")
	r.Expect(f.message).To(HaveSuffix(`there is no parameter "color": there are agent, watch (1), format (json, table)`))
}

// An empty book of a manager that has just started would look like a person without clients.
func TestBookBeforeTheCachesAreFilled(t *testing.T) {
	index := book.New()
	r := newRig(t, func(o *Options) { o.Book = index })
	paths := []string{bookPath, bookPath + "?watch=1", agendaPath, agendaPath + "?format=table"}
	for _, path := range paths {
		code, body := r.do(http.MethodGet, path, "carla", "")
		r.Expect(code).To(Equal(http.StatusServiceUnavailable), body)
	}
	code, _ := r.do(http.MethodGet, staffPath, "carla", "")
	r.Expect(code).To(Equal(http.StatusOK))
	index.Complete()
	code, _ = r.do(http.MethodGet, bookPath, "carla", "")
	r.Expect(code).To(Equal(http.StatusOK))
}

func TestUnknownRoutesNameTheOthers(t *testing.T) {
	r := newRig(t, nil)
	_, body := r.do(http.MethodGet, "/v1alpha1/namespaces/acme/books", "carla", "")
	for _, route := range []string{"/v1alpha1/namespaces/{namespace}", "staff", "book", "agenda", "agents/{agent}/password"} {
		r.Expect(statusOf(r.GomegaWithT, body).Message).To(ContainSubstring(route))
	}
}

// told is the next event as a line, such as MODIFIED alice b.
func told[T any](g *GomegaWithT, s *stream, within time.Duration, line func(T) string) string {
	e, _ := s.next(g, within)
	var object T
	g.Expect(json.Unmarshal(e.Object, &object)).To(Succeed())
	return e.Type + " " + line(object)
}

func clientLine(e book.ClientEntry) string { return e.Agent + " " + e.Assignment }

func agendaLine(e book.AgendaEntry) string {
	return fmt.Sprintf("%s %s %s", e.Agent, e.Kind, e.Assignment)
}

func TestFollowBookAndAgendaS6S7(t *testing.T) {
	r := newRig(t, nil)
	r.books.Set(held("b", "alice"))
	own := func(agent string) Demand { return Demand{"acme", "watch", "live", agent} }
	r.desk.allow("alice", own("alice"))
	r.desk.allow("bob", own("bob"))
	alice, bob := r.follow(bookPath+"?watch=1&agent=alice", "alice"), r.follow(bookPath+"?watch=1&agent=bob", "bob")
	agenda := r.follow(agendaPath+"?watch=1&from=2026-11-30T10:00:00Z", "carla")
	for s, items := range map[*stream]int{alice: 1, bob: 0, agenda: 0} {
		e, _ := s.next(r.GomegaWithT, time.Second)
		r.Expect(e.Type).To(Equal("STATE"))
		r.Expect(read[any](r.GomegaWithT, string(e.Object)).Items).To(HaveLen(items))
	}
	moved := held("b", "bob")
	moved.Spec.Appointment.EndTime = metav1.NewTime(monday.Add(3 * time.Hour))
	r.books.Set(moved)
	r.Expect(told(r.GomegaWithT, alice, time.Second, clientLine)).To(Equal("DELETED alice b"))
	r.Expect(told(r.GomegaWithT, bob, time.Second, clientLine)).To(Equal("ADDED bob b"))
	r.Expect(told(r.GomegaWithT, agenda, time.Second, agendaLine)).To(Equal("ADDED bob Appointment b"))
	r.books.Remove("acme", "b")
	r.Expect(told(r.GomegaWithT, bob, time.Second, clientLine)).To(Equal("DELETED bob b"))
	r.Expect(told(r.GomegaWithT, agenda, time.Second, agendaLine)).To(Equal("DELETED bob Appointment b"))
	r.Expect(alice.lines).NotTo(Receive(HavePrefix("event:")))
}

// A client that does not read holds up nobody, and has the newest state when it reads again.
func TestSlowFollowerOfBooks(t *testing.T) {
	r := newRig(t, nil)
	const cases = 20_000
	name := func(i int) string { return fmt.Sprintf("case-with-a-long-name-%d", i) }
	for i := range cases {
		r.books.Set(held(name(i), "alice"))
	}
	response := r.send(t.Context(), http.MethodGet, bookPath+"?watch=1", "carla", "")
	time.Sleep(2 * pace)
	began := time.Now()
	for i := range cases {
		r.books.Set(held(name(i), "bob"))
	}
	r.Expect(time.Since(began)).To(BeNumerically("<", 10*time.Second), "the feed waited for the client")
	s := readStream(t, response, func() { _ = response.Body.Close() })
	e, _ := s.next(r.GomegaWithT, 20*time.Second)
	r.Expect(e.Type).To(Equal("STATE"))
	for e.Type = ""; e.Type != "STATE"; { // the client was behind, and is given everything again
		e, _ = s.next(r.GomegaWithT, 20*time.Second)
	}
	list := read[book.ClientEntry](r.GomegaWithT, string(e.Object))
	r.Expect(list.Items).To(HaveLen(cases))
	r.Expect(slices.IndexFunc(list.Items, func(e book.ClientEntry) bool { return e.Agent != "bob" })).To(Equal(-1))
	r.books.Set(held(name(0), "carla"))
	r.Expect(told(r.GomegaWithT, s, time.Second, clientLine)).To(Equal("DELETED bob " + name(0)))
	r.Expect(told(r.GomegaWithT, s, time.Second, clientLine)).To(Equal("ADDED carla " + name(0)))
}
