package asterisk

import (
	"slices"
	"strings"
)

// Columns by their place in a relation.
const (
	regCenter = iota
	regUID
	regFingerprint
	regCredentials
	regClaimed     // 1: the PBX's rows under this name are Roster's
	regOwnPauses   // the queues in which the person's pause is Roster's own, comma-joined
	regPauseReason // the reason with which the person is to be paused in all queues; NULL: not to be
	regMailbox     // <mailbox>@<context> of the mailbox that is Roster's
	regColumns     // the template columns written, comma-joined
	regSpyGroups
	regHandled       // the orders carried out: JSON, values by kind
	regRowsHash      // what Compare compares the rows with: see digest
	regPasswordCheck // of the password last given: see passwordCheck
	regAway          // the reason of the pause with which the person left the last of their queues; NULL: none
	regWidth
)

const (
	endAORs = iota
	endAuth
	endCallerID
	endContext
	endMailboxes
	endDisallow
	endAllow
	endSetVar
	endWidth
)

const (
	authType = iota
	authUsername
	authPassword
)

const (
	aorMaxContacts = iota
	aorRemoveExisting
	aorQualifyFrequency
)

const (
	conEndpoint = iota
	conExpiration
)

const (
	memName = iota
	memUniqueID
	memPenalty
	memPaused
	memReason
	memRingInUse
	memWidth
)

const (
	vmFullName = iota
	vmEmail
	vmPassword
)

const (
	repCenter = iota
	repUID
	repInterface
	repExtension
	repDisplayName
	repEmail
	repEmployeeID
	repRole
	repPhase
	repGroup
	repColor
	repMonitors
	repSeat
	repRequestedAt
	repOfflineAt
	repCompletedAt
	repDeletedAt
	repUpdatedAt
	repWidth
)

const (
	mshStars   = iota
	mshPenalty // NULL where the PBX has no row of it
	mshVia
)

const (
	extCenter = iota
	extInterface
	extQueue
)

// schema is the relations as one database has them.
type schema struct {
	registry, endpoints, auths, aors, queues, members, voicemail *relation
	agents, memberships, extensions, revocations, sticky         *relation
	contacts                                                     []*relation
	// endpointColumns are all that ps_endpoints has.
	endpointColumns map[string]column
	// uniqueID is queue_members.uniqueid.
	uniqueID column
}

// newSchema is the relations with the contacts tables of a centre.
func newSchema(contactsTables []string) *schema {
	byKey := func(i int) func(key, []cell) string { return func(k key, _ []cell) string { return k[i] } }
	byColumn := func(i int) func(key, []cell) string { return func(_ key, c []cell) string { return c[i].text } }
	s := &schema{
		registry: table("roster_registry", "kind,name",
			"center,uid,fingerprint,credentials,claimed,own_pauses,pause_reason,mailbox,endpoint_columns,spy_groups,handled,rows_hash,password_check,away"),
		endpoints:   table("ps_endpoints", "id", "aors,auth,callerid,context,mailboxes,disallow,allow,set_var"),
		auths:       table("ps_auths", "id", "auth_type,username,password"),
		aors:        table("ps_aors", "id", "max_contacts,remove_existing,qualify_frequency"),
		queues:      table("queues", "name", "strategy,timeout,wrapuptime,maxlen,servicelevel,ringinuse"),
		members:     table("queue_members", "queue_name,interface", "membername,uniqueid,penalty,paused,reason_paused,ringinuse"),
		voicemail:   table("voicemail", "mailbox,context", "fullname,email,password"),
		agents:      table("roster_agents", "name", "center,uid,interface,extension,display_name,email,employee_id,role,phase,agent_group,color,monitors,seat,requested_at,offline_at,completed_at,deleted_at,updated_at"),
		memberships: table("roster_memberships", "center,queue,agent,channel", "stars,penalty,via"),
		extensions:  table("roster_extensions", "key", "center,interface,queue"),
		revocations: table("roster_revocations", "center,agent,kind,name", "since"),
		sticky:      table("roster_sticky", "key", "center,interface,agent,agent_group,queue,case_id,assignment"),
	}
	s.members.owner, s.members.identity, s.members.guard = byKey(1), memUniqueID, memPaused
	// The migrations of Asterisk 16 have no reason_paused, and its earlier ones no ringinuse.
	s.members.optional = []int{memReason, memRingInUse}
	s.agents.stamp = repUpdatedAt
	s.memberships.owner = byKey(2)
	s.extensions.owner = func(_ key, c []cell) string {
		if c[extQueue].text != "" {
			return queueOwner(c[extQueue].text)
		}
		return c[extInterface].text
	}
	s.extensions.deleteGuard = extInterface
	s.revocations.owner = byKey(1)
	for _, r := range []*relation{s.endpoints, s.aors, s.queues, s.memberships, s.extensions, s.revocations} {
		r.watch()
	}
	s.auths.watch(authPassword)
	s.members.watch(memUniqueID, memPaused, memReason)
	s.voicemail.watch(vmPassword)
	s.agents.watch(repUpdatedAt)
	for _, name := range contactsTables {
		r := table(name, "id", "endpoint,expiration_time")
		r.owner = byColumn(conEndpoint)
		s.contacts = append(s.contacts, r)
	}
	return s
}

// queueOwner is what an extension of a queue belongs to; no interface looks like it.
func queueOwner(queue string) string { return "queue " + queue }

// holderOf is the registry's key of whom an extension rings; false where that is no person and no queue.
func holderOf(extension []cell) (key, bool) {
	if queue := extension[extQueue].text; queue != "" {
		return key{kindQueue, queue}, true
	}
	agent, ok := strings.CutPrefix(extension[extInterface].text, sipPrefix)
	return key{kindAgent, agent}, ok
}

// relations are all of them.
func (s *schema) relations() []*relation {
	return append([]*relation{s.registry, s.endpoints, s.auths, s.aors, s.queues, s.members, s.voicemail,
		s.agents, s.memberships, s.extensions, s.revocations, s.sticky}, s.contacts...)
}

// endpointsWith is the endpoints relation with those of further columns that the table has.
func (s *schema) endpointsWith(columns []string) *relation {
	wide := *s.endpoints
	wide.cols = slices.Clone(s.endpoints.cols)
	for _, c := range columns {
		if _, ok := s.endpointColumns[c]; ok && !slices.Contains(wide.cols, c) {
			wide.cols = append(wide.cols, c)
		}
	}
	wide.learn(s.endpointColumns)
	return &wide
}

func table(name, key, cols string) *relation {
	r := &relation{table: name, key: split(key), cols: split(cols), guard: -1, deleteGuard: -1, stamp: -1}
	r.learn(nil)
	return r
}

// learn takes lengths and types from the database's catalogue.
func (r *relation) learn(info map[string]column) {
	r.limits, r.casts = make([]int, len(r.cols)), make([]string, len(r.cols))
	r.whole, r.absent = make([]bool, len(r.cols)), make([]bool, len(r.cols))
	r.keyLimits = make([]int, len(r.key))
	for i, c := range r.key {
		r.keyLimits[i] = info[c].limit
	}
	for i, c := range r.cols {
		r.limits[i], r.casts[i], r.whole[i] = info[c].limit, info[c].cast, info[c].whole
		if _, ok := info[c]; info != nil && !ok {
			r.absent[i] = slices.Contains(r.optional, i)
		}
	}
}

// watch makes Compare compare all columns but some.
func (r *relation) watch(not ...int) {
	for i := range r.cols {
		if !slices.Contains(not, i) {
			r.watched = append(r.watched, i)
		}
	}
}

// column is the place of a column, -1 for none.
func (r *relation) column(name string) int { return slices.Index(r.cols, name) }

// missing are the columns that a table must have and does not.
func (r *relation) missing(have map[string]column) (names []string) {
	for i, c := range slices.Concat(r.key, r.cols) {
		if _, ok := have[c]; !ok && !slices.Contains(r.optional, i-len(r.key)) {
			names = append(names, c)
		}
	}
	return names
}

// names are columns as they are read: one that the database lacks is NULL.
func (r *relation) names(cols []int) (names []string) {
	for _, i := range cols {
		name := quote(r.cols[i])
		if r.absent[i] {
			name = "NULL"
		}
		names = append(names, name)
	}
	return names
}

// present are the columns that the database has.
func (r *relation) present() (names []string) {
	for i, c := range r.cols {
		if !r.absent[i] {
			names = append(names, c)
		}
	}
	return names
}

// column is what a database's catalogue says of one.
type column struct {
	limit int
	cast  string
	// whole says that it holds whole numbers.
	whole bool
	// sequence gives the column its values in PostgreSQL; empty for none.
	sequence string
}
