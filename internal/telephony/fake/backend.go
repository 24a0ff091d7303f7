package fake

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"roster.dev/roster/internal/telephony"
)

type record = telephony.AgentRecord

// Call is one call of the port.
type Call struct {
	// Method is the port's name of it, such as ApplyAgent.
	Method string
	// Name of the agent or queue, or a known caller's phone, where there is one.
	Name string
}

// Backend is one centre's view of a System.
type Backend struct {
	*System
	center string

	control     sync.Mutex
	calls       []Call
	next        map[string][]error
	unreachable bool
	closed      bool
}

var _ telephony.Backend = (*Backend)(nil)

// New is a centre on a system of its own.
func New(center string) *Backend { return NewSystem().Backend(center) }

// Backend is a centre on the system.
func (s *System) Backend(center string) *Backend {
	return &Backend{System: s, center: center, next: map[string][]error{}}
}

// Calls are the calls since the last Reset, in order.
func (b *Backend) Calls() []Call {
	b.control.Lock()
	defer b.control.Unlock()
	return slices.Clone(b.calls)
}

// NextError makes the next call of a method fail; several queue up. Method "" is any.
func (b *Backend) NextError(method string, err error) {
	b.control.Lock()
	defer b.control.Unlock()
	b.next[method] = append(b.next[method], err)
}

// SetUnreachable makes every call fail as unreachable until it is set to false.
func (b *Backend) SetUnreachable(unreachable bool) {
	b.control.Lock()
	defer b.control.Unlock()
	b.unreachable = unreachable
}

// Reset forgets calls and planned failures. The system keeps what it has.
func (b *Backend) Reset() {
	b.control.Lock()
	defer b.control.Unlock()
	b.calls, b.unreachable = nil, false
	clear(b.next)
}

// begin records a call and says how it fails.
func (b *Backend) begin(ctx context.Context, method, name string) error {
	b.control.Lock()
	defer b.control.Unlock()
	b.calls = append(b.calls, Call{method, name})
	if b.closed {
		return telephony.Errorf(telephony.Unreachable, nil, "the telephone system was closed")
	}
	for _, m := range []string{method, ""} {
		if errs := b.next[m]; len(errs) > 0 {
			b.next[m] = errs[1:]
			return errs[0]
		}
	}
	if b.unreachable {
		return telephony.Errorf(telephony.Unreachable, nil, "the telephone system cannot be reached")
	}
	if err := ctx.Err(); err != nil {
		return telephony.Errorf(telephony.Unreachable, err, "the telephone system gave no answer in time")
	}
	return nil
}

// Load reads what is recorded of the centre.
func (b *Backend) Load(ctx context.Context) (*telephony.Records, error) {
	if err := b.begin(ctx, "Load", ""); err != nil {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	records := &telephony.Records{Agents: map[string]telephony.AgentRecord{}, Queues: map[string]telephony.QueueRecord{},
		Sticky: b.stickyOf(b.center)}
	for name, a := range b.agents {
		if a.center == b.center {
			r := a.record
			phone := b.phones[name]
			r.HasPhone = a.claimed && phone != nil && phone.Password != ""
			records.Agents[name] = r
		}
	}
	for name, q := range b.queues {
		if q.center == b.center {
			records.Queues[name] = telephony.QueueRecord{Fingerprint: q.fingerprint}
		}
	}
	return records, nil
}

// Ping says whether the system can be reached.
func (b *Backend) Ping(ctx context.Context) error { return b.begin(ctx, "Ping", "") }

// Close makes every later call fail.
func (b *Backend) Close() error {
	b.control.Lock()
	defer b.control.Unlock()
	b.closed = true
	return nil
}

// ApplyAgent makes the system match one person.
func (b *Backend) ApplyAgent(ctx context.Context, want *telephony.Agent) (telephony.AgentResult, error) {
	if err := b.begin(ctx, "ApplyAgent", want.Name); err != nil {
		return telephony.AgentResult{}, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	c := change{Backend: b, want: want, settings: want.Settings, was: b.agents[want.Name],
		touched: map[string]bool{}, written: map[string]bool{}}
	if c.settings == nil {
		c.settings = &telephony.Settings{}
	}
	if err := c.check(); err != nil {
		return telephony.AgentResult{}, err
	}
	return c.apply(), nil
}

// change is one ApplyAgent: checked first, then applied whole.
type change struct {
	*Backend
	want     *telephony.Agent
	settings *telephony.Settings
	was      *agent
	// touched are the queues whose members changed, and written is what else did.
	touched, written map[string]bool
	// keepMailbox leaves the mailbox as it is.
	keepMailbox bool
}

func (c *change) refused() bool   { return c.want.Access == telephony.AccessRefused }
func (c *change) address() string { return address(c.want.Mailbox, c.settings.Context) }

func address(mailbox, context string) string {
	if mailbox == "" {
		return ""
	}
	return mailbox + "@" + context
}

func (c *change) check() error {
	name, phone := c.want.Name, c.phones[c.want.Name]
	report := c.reports[name]
	switch {
	case c.was != nil && c.was.center != c.center:
		return telephony.Errorf(telephony.Conflict, nil, "agent %s belongs to contact centre %s", name, c.was.center)
	case c.was == nil && report != nil && !report.DeletedAt.IsZero() && report.Email != c.want.Email && !c.want.ReuseName:
		return telephony.Errorf(telephony.Conflict, nil, "the name %s belonged to somebody with another e-mail address", name)
	case phone != nil && (c.was == nil || !c.was.claimed) && !c.settings.Adopt:
		return telephony.Errorf(telephony.Conflict, nil, "a phone %s exists that Roster did not make", name)
	case c.want.Phone && !c.refused() && c.want.Password == nil && (phone == nil || phone.Password == ""):
		return telephony.Errorf(telephony.Refused, telephony.ErrCredentialsNeeded, "the phone of agent %s has no password yet", name)
	case c.want.Password != nil && *c.want.Password == "":
		return telephony.Errorf(telephony.Refused, nil, "the password of agent %s is empty", name)
	}
	err := c.checkMailbox()
	if err != nil && c.refused() {
		c.keepMailbox, err = true, nil
	}
	return err
}

func (c *change) checkMailbox() error {
	address := c.address()
	if address == "" {
		return nil
	}
	for name, a := range c.agents {
		if name != c.want.Name && a.mailbox == address {
			return telephony.Errorf(telephony.Conflict, nil, "mailbox %s belongs to agent %s", address, name)
		}
	}
	have := c.mailboxes[address]
	own := c.was != nil && c.was.mailbox == address
	if have != nil && !own && !c.settings.Adopt {
		return telephony.Errorf(telephony.Conflict, nil, "a mailbox %s exists that Roster did not make", address)
	}
	if have == nil && c.want.PIN == nil && (c.was == nil || c.mailboxes[c.was.mailbox] == nil) {
		return telephony.Errorf(telephony.Refused, telephony.ErrCredentialsNeeded, "mailbox %s has no PIN yet", address)
	}
	return nil
}

func (c *change) apply() telephony.AgentResult {
	a, want := c.want, &agent{ownPauses: map[string]bool{}}
	if c.was != nil {
		want.ownPauses, want.pauseReason, want.away = c.was.ownPauses, c.was.pauseReason, c.was.away
		want.claimed, want.mailbox = c.was.claimed, c.was.mailbox
		want.password = c.was.password
	}
	want.center = c.center
	hasPhone := c.phone(want)
	if !c.keepMailbox {
		c.mailbox(want)
	}
	foreign := c.join(want)
	if c.setExtension(a.Extension, "PJSIP/"+a.Name) {
		c.written["extensions"] = true
	}
	want.extension = a.Extension
	if c.refused() {
		c.expire()
	}
	handled := c.orders(want)
	c.report()
	fingerprint := a.Fingerprint()
	if len(foreign) > 0 {
		fingerprint = ""
	}
	want.record = telephony.AgentRecord{
		Fingerprint: fingerprint, UID: a.UID, HasPhone: hasPhone, CredentialVersions: a.CredentialVersions,
		Phase: a.Phase, Group: a.Group, Seat: a.Seat, Revoked: slices.Clone(a.Revoked), Deactivation: a.Deactivation,
		SpyGroups: a.SpyGroups, Monitors: a.Monitors, Handled: handled,
	}
	c.agents[a.Name] = want
	want.left = c.picture(a.Name, want)
	changed := len(c.written) > 0
	if !changed && (c.was == nil || !c.was.same(want)) {
		changed, c.written["registry"] = true, true
	}
	return telephony.AgentResult{
		Record: want.record, Online: c.contacts[a.Name].After(time.Now()), Changed: changed,
		Queues: slices.Sorted(maps.Keys(c.touched)), Written: slices.Sorted(maps.Keys(c.written)), ForeignQueues: foreign,
	}
}

// same says that the registry says the same.
func (a *agent) same(b *agent) bool {
	return a.record.Fingerprint == b.record.Fingerprint && maps.Equal(a.record.Handled, b.record.Handled) &&
		maps.Equal(a.ownPauses, b.ownPauses) && a.away == b.away && a.left == b.left && a.extension == b.extension
}

func (c *change) expire() {
	if c.contacts[c.want.Name].After(time.Now()) {
		delete(c.contacts, c.want.Name)
		c.written["contacts"] = true
	}
}

// orders carries out what was not yet, and returns what is done by now.
func (c *change) orders(reg *agent) map[telephony.OrderKind]string {
	handled := map[telephony.OrderKind]string{}
	if c.was != nil {
		maps.Copy(handled, c.was.record.Handled)
	}
	for _, o := range c.want.Orders {
		if handled[o.Kind] == o.Value {
			continue
		}
		handled[o.Kind] = o.Value
		switch {
		case o.Skip:
		case o.Kind == telephony.OrderLogout:
			c.expire()
		case o.Kind == telephony.OrderPause:
			c.repause(func(queue string, m *Member) {
				if !m.Paused {
					m.Paused, m.Reason = true, o.Reason
				}
			})
		case o.Kind == telephony.OrderUnpause:
			reg.away = ""
			c.repause(func(queue string, m *Member) {
				if !m.Paused {
					return
				}
				m.Paused, m.Reason = false, ""
				if c.want.PauseReason != "" && c.added(c.want.Name, queue) {
					m.Paused, m.Reason, reg.ownPauses[queue] = true, c.want.PauseReason, true
				}
			})
		}
	}
	return handled
}

// repause lets f pause and unpause the person in the centre's queues.
func (c *change) repause(f func(queue string, m *Member)) {
	for queue, have := range c.members["PJSIP/"+c.want.Name] {
		if m := clone(have); c.owns(queue) {
			if f(queue, m); *m != *have {
				c.putMember(queue, m)
			}
		}
	}
}

func (c *change) putMember(queue string, m *Member) {
	c.touched[queue], c.written["members"] = true, true
	c.setMember(queue, m)
}

func (c *change) phone(reg *agent) (hasPhone bool) {
	have := c.phones[c.want.Name]
	if have != nil {
		reg.claimed = true
	}
	secured := have != nil && have.Password != ""
	want := clone(have)
	switch {
	case c.want.Phone && (secured || c.want.Password != nil):
		reg.claimed, secured = true, true
		want = &Phone{Granted: !c.refused(), Columns: map[string]string{}}
		if have != nil {
			want.Password = have.Password
			maps.Copy(want.Columns, have.Columns)
		}
		want.SpyGroups = c.want.SpyGroups
		if c.refused() {
			want.SpyGroups = ""
			if have != nil {
				want.SpyGroups = have.SpyGroups
			}
		}
		if c.want.Password != nil {
			want.Password = *c.want.Password
		}
		if c.want.Password != nil || reg.password == "" {
			reg.password = want.Password
		}
		want.CallerID = c.want.DisplayName
		if c.want.Extension != "" {
			want.CallerID += " <" + c.want.Extension + ">"
		}
		maps.Copy(want.Columns, c.settings.Template)
	case c.refused() && have != nil:
		want.Granted = false
	}
	if !same(have, want, samePhone) {
		c.written["phones"] = true
		c.phones[c.want.Name] = want
	}
	return secured
}

func (c *change) mailbox(reg *agent) {
	address := c.address()
	have, moved := c.mailboxes[address], (*Mailbox)(nil)
	if reg.mailbox != "" && reg.mailbox != address {
		moved = c.mailboxes[reg.mailbox]
		delete(c.mailboxes, reg.mailbox)
		c.written["mailboxes"] = true
	}
	reg.mailbox = ""
	if address == "" {
		return
	}
	want := &Mailbox{Name: c.want.DisplayName, Email: c.want.Email}
	switch {
	case c.want.PIN != nil:
		want.PIN = *c.want.PIN
	case have != nil:
		want.PIN = have.PIN
	case moved != nil:
		want.PIN = moved.PIN
	}
	reg.mailbox = address
	if have == nil || *have != *want {
		c.written["mailboxes"] = true
		c.mailboxes[address] = want
	}
}

// join makes the person's places in queues.
func (c *change) join(reg *agent) (foreign []string) {
	pauses, keep, away := map[string]bool{}, map[string]bool{}, c.away(reg)
	var reported []Membership
	for _, m := range c.want.Memberships {
		voice := m.Voice() && c.claim(m.Queue)
		if m.Voice() && !voice {
			foreign = append(foreign, m.Queue)
		}
		keep[m.Queue] = voice || m.Observed || (m.Voice() && !voice)
		if voice && c.member(reg, m, away) {
			pauses[m.Queue] = true
		}
		for _, channel := range m.Channels {
			if channel != "Voice" || voice || !m.Voice() {
				reported = append(reported, Membership{m.Queue, channel, m.Stars, strings.Join(m.Via, ","), channel == "Voice" && voice})
			}
		}
	}
	iface := "PJSIP/" + c.want.Name
	for queue := range c.members[iface] {
		if keep[queue] {
			continue
		}
		if c.refused() && c.owns(queue) || c.added(c.want.Name, queue) {
			delete(c.members[iface], queue)
			c.touched[queue], c.written["members"] = true, true
		}
	}
	slices.SortFunc(reported, func(a, b Membership) int { return strings.Compare(a.Queue+"/"+a.Channel, b.Queue+"/"+b.Channel) })
	if !slices.Equal(c.memberships[c.want.Name], reported) {
		c.written["memberships"] = true
		c.memberships[c.want.Name] = reported
	}
	reg.ownPauses, reg.pauseReason, reg.away = pauses, c.want.PauseReason, ""
	if !c.refused() && len(c.places()) == 0 {
		reg.away = away
	}
	return foreign
}

// places are the person's in the centre's queues.
func (c *change) places() map[string]*Member {
	places := maps.Clone(c.members["PJSIP/"+c.want.Name])
	maps.DeleteFunc(places, func(queue string, _ *Member) bool { return !c.owns(queue) })
	return places
}

// away is the reason with which the person paused themself everywhere; empty where they did not.
func (c *change) away(reg *agent) string {
	places, reason := c.places(), ""
	if len(places) == 0 {
		return reg.away
	}
	for _, queue := range slices.Sorted(maps.Keys(places)) {
		m := places[queue]
		if !m.Paused || reg.ownPauses[queue] && m.Reason == reg.pauseReason {
			return ""
		}
		reason = cmp.Or(reason, m.Reason)
	}
	return cmp.Or(reason, "Paused")
}

// added says whether Roster made a person a member of a queue.
func (b *Backend) added(name, queue string) bool {
	return slices.ContainsFunc(b.memberships[name], func(m Membership) bool { return m.Queue == queue && m.OnPBX })
}

// claim makes a queue that nobody has this centre's.
func (c *change) claim(name string) bool {
	q := c.queues[name]
	switch {
	case q != nil && q.center != c.center:
		return false
	case q != nil && q.claimed:
		return true
	case c.queueRows[name] != nil && !c.settings.Adopt:
		return false
	case q == nil:
		q = &queue{center: c.center}
		c.queues[name] = q
	}
	q.claimed, c.written["registry"] = true, true
	return true
}

func (b *Backend) owns(name string) bool {
	q := b.queues[name]
	return q != nil && q.center == b.center && q.claimed
}

// member makes one place in a queue and returns whether its pause is Roster's own.
func (c *change) member(reg *agent, m telephony.Membership, away string) bool {
	iface := "PJSIP/" + c.want.Name
	have := c.members[iface][m.Queue]
	reason := c.want.PauseReason
	want := &Member{Interface: iface, Name: c.want.Name, Penalty: m.Penalty}
	var own bool
	if have == nil {
		want.Reason = cmp.Or(away, reason)
		want.Paused = want.Reason != ""
		own = want.Paused && away == ""
	} else {
		want.Paused, want.Reason = have.Paused, have.Reason
		own = have.Paused && reg.ownPauses[m.Queue] && have.Reason == reg.pauseReason
		if seen, is := c.want.OwnPauses[m.Queue]; is && own {
			want.Reason, own = seen, false
		}
		switch {
		case reason == "" && own:
			want.Paused, want.Reason, own = false, "", false
		case reason != "" && (own || !have.Paused):
			want.Paused, want.Reason, own = true, reason, true
		}
	}
	if have == nil || *have != *want {
		c.putMember(m.Queue, want)
	}
	return own
}

// setExtension makes an extension ring a target, and no other extension of the centre's.
func (b *Backend) setExtension(extension, target string) (changed bool) {
	back, want := b.center+"/"+target, b.center+"/"+extension
	if have := b.rings[back]; have != "" && have != want {
		delete(b.rings, back)
		if b.extensions[have] == target {
			delete(b.extensions, have)
			changed = true
		}
	}
	if extension != "" && b.extensions[want] != target {
		b.taken(extension, b.extensions[want])
		b.extensions[want], b.rings[back] = target, want
		changed = true
	}
	return changed
}

// taken notes that an extension is no longer its holder's, by Roster's own hand.
func (b *Backend) taken(extension, target string) {
	if name, ok := strings.CutPrefix(target, "PJSIP/"); ok {
		if a := b.agents[name]; a != nil && a.center == b.center && a.extension == extension {
			a.extension = ""
		}
	}
	if name, ok := strings.CutPrefix(target, "queue "); ok {
		if q := b.queues[name]; q != nil && q.center == b.center && q.extension == extension {
			q.extension = ""
		}
	}
}

func (c *change) report() {
	a := c.want
	want := &Report{
		Center: c.center, DisplayName: a.DisplayName, Email: a.Email, Phase: a.Phase, Group: a.Group,
		Interface: "PJSIP/" + a.Name, Extension: a.Extension,
		Monitors: a.Monitors, Seat: a.Seat, RequestedAt: a.RequestedAt, OfflineAt: a.OfflineAt, CompletedAt: a.CompletedAt,
	}
	if have := c.reports[a.Name]; have == nil || *have != *want {
		c.written["reports"] = true
		c.reports[a.Name] = want
	}
}

// RemoveAgent takes a person out, but for what is reported of them.
func (b *Backend) RemoveAgent(ctx context.Context, name string, at time.Time) ([]string, error) {
	if err := b.begin(ctx, "RemoveAgent", name); err != nil {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	a := b.agents[name]
	if a == nil || a.center != b.center {
		return nil, nil
	}
	if a.claimed {
		delete(b.phones, name)
		delete(b.contacts, name)
	}
	var queues []string
	for queue := range b.members["PJSIP/"+name] {
		if b.owns(queue) || b.added(name, queue) {
			delete(b.members["PJSIP/"+name], queue)
			queues = append(queues, queue)
		}
	}
	slices.Sort(queues)
	delete(b.memberships, name)
	delete(b.mailboxes, a.mailbox)
	delete(b.agents, name)
	b.setExtension("", "PJSIP/"+name)
	if r := b.reports[name]; r != nil {
		r.Phase, r.Seat, r.DeletedAt = "Deleted", "", at.UTC().Truncate(time.Second)
	}
	return queues, nil
}

// ApplyQueue makes the system match one queue.
func (b *Backend) ApplyQueue(ctx context.Context, want *telephony.Queue) error {
	if err := b.begin(ctx, "ApplyQueue", want.Name); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	q := b.queues[want.Name]
	if q != nil && q.center != b.center {
		return telephony.Errorf(telephony.Conflict, nil, "queue %s belongs to contact centre %s", want.Name, q.center)
	}
	adopt := want.Settings != nil && want.Settings.Adopt
	exists, claimed := b.queueRows[want.Name] != nil, q != nil && q.claimed
	if want.Voice && exists && !claimed && !adopt {
		return telephony.Errorf(telephony.Conflict, nil, "a queue %s exists that Roster did not make", want.Name)
	}
	if want.Voice {
		claimed = true
		b.queueRows[want.Name] = &QueueRow{Strategy: want.Strategy, TimeoutSeconds: want.TimeoutSeconds,
			WrapUpSeconds: want.WrapUpSeconds, ServiceLevelSeconds: want.ServiceLevelSeconds, MaxLength: want.MaxCallers}
	} else if claimed || !exists {
		claimed = true
		delete(b.queueRows, want.Name)
	}
	if claimed && (!want.Voice || want.Members == telephony.MembersAuthoritative) {
		b.dropMembers(want.Name, b.nobody(want.Name))
	}
	b.setExtension(want.Extension, "queue "+want.Name)
	q = &queue{center: b.center, fingerprint: want.Fingerprint(), claimed: claimed, extension: want.Extension, applied: true}
	if claimed {
		q.row = clone(b.queueRows[want.Name])
	}
	b.queues[want.Name] = q
	return nil
}

// nobody says of an interface that Roster did not put it into a queue.
func (b *Backend) nobody(queue string) func(iface string) bool {
	return func(iface string) bool {
		name, ok := strings.CutPrefix(iface, "PJSIP/")
		a := b.agents[name]
		return !ok || a == nil || a.center != b.center || !b.added(name, queue)
	}
}

func (b *Backend) dropMembers(queue string, which func(iface string) bool) {
	for iface, places := range b.members {
		if which(iface) {
			delete(places, queue)
		}
	}
}

// RemoveQueue takes a queue out, and members that nobody registered.
func (b *Backend) RemoveQueue(ctx context.Context, name string) error {
	if err := b.begin(ctx, "RemoveQueue", name); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	q := b.queues[name]
	if q == nil || q.center != b.center {
		return nil
	}
	if q.claimed {
		delete(b.queueRows, name)
		b.dropMembers(name, b.nobody(name))
	}
	delete(b.queues, name)
	b.setExtension("", "queue "+name)
	return nil
}

func (c Call) String() string { return fmt.Sprintf("%s(%s)", c.Method, c.Name) }
