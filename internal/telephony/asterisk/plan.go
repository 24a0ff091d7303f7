package asterisk

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"

	"roster.dev/roster/internal/telephony"
)

// planner plans one centre's rows. It reads and writes nothing but its state.
type planner struct {
	*state
	center string
	now    time.Time
	// endpointColumns are all that ps_endpoints has.
	endpointColumns map[string]column
}

// agent plans what makes the rows match a.
func (p *planner) agent(a *telephony.Agent) (telephony.AgentResult, error) {
	settings := settingsOf(a.Settings)
	regKey := key{kindAgent, a.Name}
	reg := p.registry.get(regKey)
	if err := p.checkName(a, settings, reg); err != nil {
		return telephony.AgentResult{}, err
	}
	reg = registryCells(reg)
	next := slices.Clone(reg)
	next[regCenter], next[regUID] = text(p.center), text(a.UID)
	next[regCredentials], next[regSpyGroups] = text(a.CredentialVersions), text(a.SpyGroups)

	hasPhone, err := p.phone(a, settings, next)
	if err != nil {
		return telephony.AgentResult{}, err
	}
	if err := p.mailbox(a, settings, next); err != nil {
		return telephony.AgentResult{}, err
	}
	foreign, err := p.join(a, settings, reg, next)
	if err != nil {
		return telephony.AgentResult{}, err
	}
	next[regFingerprint] = null
	if len(foreign) == 0 { // what was left out may become possible
		next[regFingerprint] = text(a.Fingerprint())
	}
	if err := p.extension(a.Extension, interfaceOf(a.Name), ""); err != nil {
		return telephony.AgentResult{}, err
	}
	if err := p.revoked(a); err != nil {
		return telephony.AgentResult{}, err
	}
	if a.Access == telephony.AccessRefused {
		if err := p.expire(a.Name); err != nil {
			return telephony.AgentResult{}, err
		}
	}
	if err := p.orders(a, next); err != nil {
		return telephony.AgentResult{}, err
	}
	if err := p.agents.put(key{a.Name}, reportCells(p.center, a, p.now)); err != nil {
		return telephony.AgentResult{}, err
	}
	if err := p.registry.put(regKey, next); err != nil {
		return telephony.AgentResult{}, err
	}
	return telephony.AgentResult{
		Record: telephony.AgentRecord{
			Fingerprint: next[regFingerprint].text, UID: a.UID, CredentialVersions: a.CredentialVersions,
			HasPhone: hasPhone, Phase: a.Phase, Group: a.Group, Seat: a.Seat,
			Revoked: slices.Clone(a.Revoked), Deactivation: a.Deactivation,
			SpyGroups: a.SpyGroups, Monitors: a.Monitors, Handled: parseHandled(next[regHandled].text),
		},
		Online:        p.online(a.Name),
		ForeignQueues: foreign,
	}, nil
}

// checkName says whether the name is a's to have.
func (p *planner) checkName(a *telephony.Agent, settings *telephony.Settings, reg []cell) error {
	if reg != nil {
		if center := reg[regCenter].text; center != p.center {
			return telephony.Errorf(telephony.Conflict, nil,
				"agent %s belongs to contact centre %s on this database: give the person another name", a.Name, center)
		}
	} else if report := p.agents.get(key{a.Name}); report != nil && report[repPhase].text == phaseDeleted &&
		report[repEmail].text != a.Email && !a.ReuseName {
		return telephony.Errorf(telephony.Conflict, nil,
			"the name %s belonged to somebody with another e-mail address, whose history stays under it: give the person another name, or allow the reuse", a.Name)
	}
	if (reg != nil && reg[regClaimed].text == "1") || settings.Adopt {
		return nil
	}
	for _, t := range []*rows{p.endpoints, p.auths, p.aors} {
		if t.get(key{a.Name}) != nil {
			return telephony.Errorf(telephony.Conflict, nil,
				"a row %s exists in %s that Roster did not write: set adoption: Adopt on the ContactCenter to take it over, or remove it", a.Name, t.table)
		}
	}
	return nil
}

// phone plans the endpoint, its credentials and its registrations' address.
func (p *planner) phone(a *telephony.Agent, settings *telephony.Settings, reg []cell) (hasPhone bool, err error) {
	k := key{a.Name}
	auth := p.auths.get(k)
	secured := auth != nil && auth[authPassword].text != ""
	if auth != nil || p.endpoints.get(k) != nil || p.aors.get(k) != nil {
		reg[regClaimed] = flag(true)
	}
	refused := a.Access == telephony.AccessRefused
	switch {
	case a.Phone && (secured || a.Password != nil):
		if err := p.securedPhone(a, settings, reg, auth); err != nil {
			return false, err
		}
		return true, nil
	case a.Phone && !refused:
		return false, telephony.Errorf(telephony.Refused, telephony.ErrCredentialsNeeded,
			"the phone of agent %s has no password on the telephone system yet, and none was given", a.Name)
	case refused:
		return secured, p.refusePhone(k)
	}
	return secured, nil
}

// securedPhone plans a phone that has a password, or gets one.
func (p *planner) securedPhone(a *telephony.Agent, settings *telephony.Settings, reg, auth []cell) error {
	k := key{a.Name}
	reg[regClaimed] = flag(true)
	cells := []cell{text("userpass"), text(a.Name), null}
	if a.Password != nil {
		if *a.Password == "" {
			return telephony.Errorf(telephony.Refused, nil, "the password of agent %s is empty", a.Name)
		}
		cells[authPassword] = text(*a.Password)
	} else {
		cells[authPassword] = auth[authPassword]
	}
	// Of a password that is not given nobody can say that it is right.
	if a.Password != nil || reg[regPasswordCheck].null {
		reg[regPasswordCheck] = text(strconv.FormatUint(uint64(passwordCheck(a.Name, cells[authPassword].text)), 16))
	}
	if err := p.auths.put(k, cells); err != nil {
		return err
	}
	if err := p.aors.put(k, aorCells(a.Access)); err != nil {
		return err
	}

	cells = make([]cell, len(p.endpoints.cols))
	if was := p.endpoints.get(k); was != nil {
		copy(cells, was)
	} else {
		for i := range cells {
			cells[i] = null
		}
	}
	endpointCells(a, settings, cells)
	written := split(reg[regColumns].text)
	columns := templateColumns(settings)
	for i, c := range p.endpoints.cols[endWidth:] {
		if v, ok := settings.Template[c]; ok {
			cells[endWidth+i] = text(v)
		} else if slices.Contains(written, c) {
			cells[endWidth+i] = null
		}
	}
	for _, c := range columns {
		if _, ok := p.endpointColumns[c]; !ok {
			return telephony.Errorf(telephony.Refused, nil,
				"table ps_endpoints has no column %s, which endpointTemplate names: run Asterisk's database migrations (contrib/ast-db-manage), or take it out of the template", c)
		}
	}
	reg[regColumns] = text(strings.Join(columns, ","))
	return p.endpoints.put(k, cells)
}

// refusePhone takes registration and calls from a phone that is there and leaves the rest of it.
func (p *planner) refusePhone(k key) error {
	if was := p.endpoints.get(k); was != nil {
		cells := slices.Clone(was)
		cells[endContext] = text(refusedContext)
		if err := p.endpoints.put(k, cells); err != nil {
			return err
		}
	}
	if was := p.aors.get(k); was != nil {
		cells := slices.Clone(was)
		cells[aorMaxContacts] = number(0)
		return p.aors.put(k, cells)
	}
	return nil
}

// mailbox plans the person's voicemail. Nothing about it holds up that somebody loses access: then what
// cannot be planned stays as it is.
func (p *planner) mailbox(a *telephony.Agent, settings *telephony.Settings, reg []cell) error {
	want := address(a.Mailbox, settings.Context)
	err := p.attempt(func() error { return p.moveMailbox(a, settings, want, reg[regMailbox].text) })
	if err == nil {
		reg[regMailbox] = text(want)
		return nil
	}
	if a.Access == telephony.AccessRefused {
		return nil
	}
	return err
}

func (p *planner) moveMailbox(a *telephony.Agent, settings *telephony.Settings, want, have string) error {
	var moved []cell
	if have != "" && have != want {
		k := mailboxKey(have)
		moved = p.voicemail.get(k)
		p.voicemail.drop(k)
	}
	if want == "" {
		return nil
	}
	if holder := p.mailboxes[want]; holder != a.Name && p.holds(holder, want) {
		return telephony.Errorf(telephony.Conflict, nil, "mailbox %s belongs to agent %s", want, holder)
	}
	k := key{a.Mailbox, settings.Context}
	was := p.voicemail.get(k)
	if was != nil && have != want && !settings.Adopt {
		return telephony.Errorf(telephony.Conflict, nil,
			"a row %s exists in voicemail that Roster did not write: set adoption: Adopt on the ContactCenter to take it over, or remove it", want)
	}
	cells := []cell{text(cut(a.DisplayName, voicemailLength)), fitting(a.Email, voicemailLength), null}
	switch {
	case a.PIN != nil && *a.PIN != "":
		cells[vmPassword] = text(*a.PIN)
	case was != nil:
		cells[vmPassword] = was[vmPassword]
	case moved != nil:
		cells[vmPassword] = moved[vmPassword]
	}
	if cells[vmPassword].text == "" {
		return telephony.Errorf(telephony.Refused, telephony.ErrCredentialsNeeded,
			"mailbox %s of agent %s has no PIN on the telephone system yet, and none was given", want, a.Name)
	}
	p.mailboxes[want] = a.Name
	return p.voicemail.put(k, cells)
}

// holds says whether a registered person has a mailbox.
func (p *planner) holds(agent, mailbox string) bool {
	reg := p.registry.get(key{kindAgent, agent})
	return reg != nil && reg[regMailbox].text == mailbox
}

func mailboxKey(address string) key {
	mailbox, context, _ := strings.Cut(address, "@")
	return key{mailbox, context}
}

// join plans the person's place in queues, and which of its pauses are Roster's. It returns the queues that
// belong to somebody else.
func (p *planner) join(a *telephony.Agent, settings *telephony.Settings, was, reg []cell) (foreign []string, err error) {
	ownPauses := split(was[regOwnPauses].text)
	away := p.away(a.Name, was)
	var pauses []string
	keep := map[string]bool{} // the queues that have a row, or whose row is not Roster's to take
	reported := map[key]bool{}
	for _, m := range a.Memberships {
		onPBX := false
		if m.Voice() {
			owned, err := p.claim(m.Queue, settings)
			if err != nil {
				return nil, err
			}
			if onPBX = owned; !owned {
				foreign = append(foreign, m.Queue)
			}
		}
		if m.Observed || (m.Voice() && !onPBX) {
			keep[m.Queue] = true
		}
		if onPBX {
			keep[m.Queue] = true
			own := slices.Contains(ownPauses, m.Queue)
			own, err := p.member(a, m, own, was[regPauseReason].text, away)
			if err != nil {
				return nil, err
			}
			if own {
				pauses = append(pauses, m.Queue)
			}
		}
		for _, channel := range m.Channels {
			if channel == "Voice" && m.Voice() && !onPBX {
				continue
			}
			penalty := null
			if channel == "Voice" && onPBX {
				penalty = number(m.Penalty)
			}
			k := key{p.center, m.Queue, a.Name, channel}
			reported[k] = true
			if err := p.memberships.put(k, []cell{number(m.Stars), penalty, text(strings.Join(m.Via, ","))}); err != nil {
				return nil, err
			}
		}
	}
	p.leave(a, keep)
	for _, r := range p.memberships.owned(a.Name) {
		if r.key[0] == p.center && !reported[r.key] {
			p.memberships.drop(r.key)
		}
	}
	slices.Sort(pauses)
	reg[regOwnPauses] = text(strings.Join(pauses, ","))
	reg[regPauseReason], reg[regAway] = text(a.PauseReason), null
	if a.Access == telephony.AccessGranted && len(p.places(a.Name)) == 0 {
		reg[regAway] = text(away)
	}
	return foreign, nil
}

// places are the person's rows in the centre's queues.
func (p *planner) places(agent string) (list []*row) {
	for _, r := range p.members.owned(interfaceOf(agent)) {
		if p.owns(r.key[0]) {
			list = append(list, r)
		}
	}
	return list
}

// away is the reason with which a person has paused themself in all of their queues, or had when they left the last
// one; empty where they have not. Whoever is at lunch is at lunch in the next queue too.
func (p *planner) away(agent string, was []cell) (reason string) {
	places := p.places(agent)
	if len(places) == 0 {
		return was[regAway].text
	}
	ownPauses := split(was[regOwnPauses].text)
	for _, r := range places {
		if !isPaused(r.now[memPaused].text) ||
			slices.Contains(ownPauses, r.key[0]) && p.isOwn(r.now, was[regPauseReason].text) {
			return ""
		}
		reason = cmp.Or(reason, r.now[memReason].text)
	}
	return cmp.Or(reason, unknownReason)
}

// isOwn says whether a pause that was Roster's still is: a reason that is not the one Roster wrote is of somebody who
// paused the person since.
func (p *planner) isOwn(member []cell, ownReason string) bool {
	return isPaused(member[memPaused].text) && (p.members.absent[memReason] || member[memReason].text == ownReason)
}

// claim makes a queue that nobody has this centre's. It returns false for one that is somebody else's.
func (p *planner) claim(queue string, settings *telephony.Settings) (bool, error) {
	k := key{kindQueue, queue}
	reg := p.registry.get(k)
	switch {
	case reg != nil && reg[regCenter].text != p.center:
		return false, nil
	case reg != nil && reg[regClaimed].text == "1":
		return true, nil
	case p.queues.get(key{queue}) != nil && !settings.Adopt:
		return false, nil
	}
	cells := registryCells(reg)
	cells[regCenter], cells[regClaimed] = text(p.center), flag(true)
	return true, p.registry.put(k, cells)
}

// member plans the row of one voice membership. It returns whether its pause is Roster's own.
func (p *planner) member(a *telephony.Agent, m telephony.Membership, own bool, ownReason, away string) (bool, error) {
	k := key{m.Queue, interfaceOf(a.Name)}
	cells := make([]cell, memWidth)
	cells[memName], cells[memPenalty], cells[memRingInUse] = text(a.Name), number(m.Penalty), text("no")
	was := p.members.get(k)
	if was == nil {
		reason := cmp.Or(away, a.PauseReason)
		cells[memUniqueID], cells[memPaused], cells[memReason] = text(newMemberID), flag(reason != ""), cell{text: reason}
		return away == "" && reason != "", p.members.put(k, cells)
	}
	cells[memUniqueID], cells[memPaused], cells[memReason] = was[memUniqueID], was[memPaused], was[memReason]
	if was[memName].text != a.Name || was[memUniqueID].text == "" {
		cells[memUniqueID] = text(newMemberID)
	}
	paused := isPaused(was[memPaused].text)
	own = own && p.isOwn(was, ownReason)
	if reason, is := a.OwnPauses[m.Queue]; is && own {
		cells[memReason], own = cell{text: cut(reason, reasonLength)}, false
	}
	switch {
	case a.PauseReason == "" && own:
		cells[memPaused], cells[memReason] = flag(false), cell{}
		own = false
	case a.PauseReason != "" && (own || !paused):
		cells[memPaused], cells[memReason] = flag(true), text(a.PauseReason)
		own = true
	}
	return own, p.members.put(k, cells)
}

// leave takes the person out of the queues that are not in keep: those Roster put them into, and for
// somebody who may not work every queue of the centre.
func (p *planner) leave(a *telephony.Agent, keep map[string]bool) {
	for _, r := range p.members.owned(interfaceOf(a.Name)) {
		queue := r.key[0]
		if keep[queue] {
			continue
		}
		if a.Access == telephony.AccessRefused && p.owns(queue) || p.added(a.Name, queue) {
			p.members.drop(r.key)
		}
	}
}

// added says whether Roster put a person into a queue.
func (p *planner) added(agent, queue string) bool {
	recorded := p.memberships.get(key{p.center, queue, agent, "Voice"})
	return recorded != nil && !recorded[mshPenalty].null
}

// owns says whether the queue's rows are this centre's.
func (p *planner) owns(queue string) bool {
	reg := p.registry.get(key{kindQueue, queue})
	return reg != nil && reg[regCenter].text == p.center && reg[regClaimed].text == "1"
}

// extension plans what an extension rings: an interface or a queue. It may have rung something else of the
// centre; what the holder rang under other extensions goes.
func (p *planner) extension(extension, iface, queue string) error {
	owner := iface
	if queue != "" {
		owner = queueOwner(queue)
	}
	want := key{p.center + "/" + extension}
	for _, r := range p.extensions.owned(owner) {
		if r.now[extCenter].text == p.center && (extension == "" || r.key != want) {
			p.extensions.drop(r.key)
		}
	}
	if extension == "" {
		return nil
	}
	if was := p.extensions.get(want); was != nil && was[extCenter].text == p.center && p.extensions.owner(want, was) != owner {
		p.taken(want, was)
	}
	return p.extensions.put(want, []cell{text(p.center), text(iface), text(queue)})
}

// revoked plans the record of what a deactivation took.
func (p *planner) revoked(a *telephony.Agent) error {
	wanted := map[key]bool{}
	for _, r := range a.Revoked {
		k := key{p.center, a.Name, r.Kind, r.Name}
		wanted[k] = true
		if err := p.revocations.put(k, []cell{instant(r.Since)}); err != nil {
			return err
		}
	}
	for _, r := range p.revocations.owned(a.Name) {
		if r.key[0] == p.center && !wanted[r.key] {
			p.revocations.drop(r.key)
		}
	}
	return nil
}

// expire ends the registrations of a phone: Asterisk drops contacts whose time is over.
func (p *planner) expire(agent string) error {
	for _, t := range p.contacts {
		for _, r := range t.owned(agent) {
			if !p.live(r.now) {
				continue
			}
			cells := slices.Clone(r.now)
			cells[conExpiration] = number(1)
			if err := t.put(r.key, cells); err != nil {
				return err
			}
		}
	}
	return nil
}

func (p *planner) live(contact []cell) bool {
	expires, err := strconv.ParseInt(contact[conExpiration].text, 10, 64)
	return err != nil || expires > p.now.Unix()
}

func (p *planner) online(agent string) bool {
	for _, t := range p.contacts {
		for _, r := range t.owned(agent) {
			if p.live(r.now) {
				return true
			}
		}
	}
	return false
}

// removeAgent plans that a person is no more, but for what is reported of them.
func (p *planner) removeAgent(name string, at time.Time) error {
	regKey := key{kindAgent, name}
	reg := p.registry.get(regKey)
	if reg == nil || reg[regCenter].text != p.center {
		return nil
	}
	if reg[regClaimed].text == "1" {
		if err := p.expire(name); err != nil {
			return err
		}
		for _, t := range []*rows{p.endpoints, p.auths, p.aors} {
			t.drop(key{name})
		}
	}
	for _, r := range p.members.owned(interfaceOf(name)) {
		if p.owns(r.key[0]) || p.added(name, r.key[0]) {
			p.members.drop(r.key)
		}
	}
	for _, t := range []*rows{p.memberships, p.revocations} {
		for _, r := range t.owned(name) {
			t.drop(r.key)
		}
	}
	if err := p.extension("", interfaceOf(name), ""); err != nil {
		return err
	}
	if have := reg[regMailbox].text; have != "" {
		p.voicemail.drop(mailboxKey(have))
	}
	p.registry.drop(regKey)
	was := p.agents.get(key{name})
	if was == nil {
		return nil
	}
	cells := slices.Clone(was)
	cells[repPhase], cells[repSeat] = text(phaseDeleted), null
	cells[repDeletedAt], cells[repUpdatedAt] = instant(at), instant(p.now)
	return p.agents.put(key{name}, cells)
}

// queue plans what makes the rows match q. The members that the state holds are those to go.
func (p *planner) queue(q *telephony.Queue) error {
	settings := settingsOf(q.Settings)
	regKey, k := key{kindQueue, q.Name}, key{q.Name}
	reg := p.registry.get(regKey)
	if reg != nil && reg[regCenter].text != p.center {
		return telephony.Errorf(telephony.Conflict, nil,
			"queue %s belongs to contact centre %s on this database: give the queue another name", q.Name, reg[regCenter].text)
	}
	claimed := reg != nil && reg[regClaimed].text == "1"
	exists := p.queues.get(k) != nil
	if q.Voice && exists && !claimed && !settings.Adopt {
		return telephony.Errorf(telephony.Conflict, nil,
			"a row %s exists in queues that Roster did not write: set adoption: Adopt on the ContactCenter to take it over, or remove it", q.Name)
	}
	next := registryCells(reg)
	next[regCenter], next[regFingerprint] = text(p.center), text(q.Fingerprint())
	switch {
	case q.Voice:
		claimed = true
		if err := p.queues.put(k, queueCells(q)); err != nil {
			return err
		}
	case claimed || !exists:
		claimed = true
		p.queues.drop(k)
	}
	if claimed && (!q.Voice || q.Members == telephony.MembersAuthoritative) {
		p.dropMembers(q.Name)
	}
	next[regClaimed] = flag(claimed)
	if err := p.extension(q.Extension, "", q.Name); err != nil {
		return err
	}
	return p.registry.put(regKey, next)
}

// removeQueue plans that a queue is no more. Of its members the state holds those that nobody registered; the
// others go with each person.
func (p *planner) removeQueue(name string) error {
	regKey := key{kindQueue, name}
	reg := p.registry.get(regKey)
	if reg == nil || reg[regCenter].text != p.center {
		return nil
	}
	if reg[regClaimed].text == "1" {
		p.queues.drop(key{name})
		p.dropMembers(name)
	}
	p.registry.drop(regKey)
	return p.extension("", "", name)
}

func (p *planner) dropMembers(queue string) {
	for _, r := range p.members.order {
		if r.key[0] == queue {
			p.members.drop(r.key)
		}
	}
}

// sentinel is the member row by which Asterisk learns that reason_paused can be written: it decides so once,
// when app_queue loads, from a row with a non-empty one. Its queue's name is none that a Queue can have.
var sentinel = struct{ queue, iface, name, reason string }{
	queue: "roster_sentinel", iface: "Local/none@" + refusedContext, name: "roster_sentinel", reason: "not a member: keeps reason_paused writable",
}
