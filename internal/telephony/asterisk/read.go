package asterisk

import (
	"context"
	"maps"
	"slices"

	"roster.dev/roster/internal/telephony"
)

// reader reads rows into a state. It stops at the first error.
type reader struct {
	ctx  context.Context
	conn *connection
	err  error
}

// where reads the rows of which a column has one of the values.
func (r *reader) where(t *rows, column string, values []string) {
	if len(values) == 0 {
		return
	}
	for chunk := range slices.Chunk(values, r.conn.dialect.maxParameters()/2) {
		r.rows(t, r.selecting(t).add(" WHERE ", quote(column), " IN ").list(chunk))
	}
}

func (r *reader) selecting(t *rows) *statement {
	s := newStatement(r.conn.dialect).add("SELECT ", columns(t.key))
	for i, c := range t.cols {
		if s.add(", "); t.absent[i] {
			s.add("NULL")
		} else {
			s.add(quote(c))
		}
	}
	return s.add(" FROM ", quote(t.table))
}

func (r *reader) rows(t *rows, s *statement) {
	if r.err != nil {
		return
	}
	width := len(t.key)
	r.err = r.conn.query(r.ctx, s, width+len(t.cols), func(cells []cell) {
		var k key
		for i, c := range cells[:width] {
			k[i] = c.text
		}
		t.read(k, cells[width:])
	})
}

// wanted is a set of names to read by, in the order of its making.
type wanted struct {
	names []string
	seen  map[string]bool
}

func (w *wanted) add(name string) {
	if name == "" || w.seen[name] {
		return
	}
	if w.seen == nil {
		w.seen = map[string]bool{}
	}
	w.seen[name] = true
	w.names = append(w.names, name)
}

// agents reads what the plans of agents look at.
func (r *reader) agents(st *state, sch *schema, center string, calls []*call) {
	var template wanted
	var names, interfaces, mailboxes, queues, extensions wanted
	voicemail := map[key]bool{}
	for _, c := range calls {
		names.add(c.name)
		interfaces.add(interfaceOf(c.name))
		if c.agent == nil {
			continue
		}
		settings := settingsOf(c.agent.Settings)
		for column := range settings.Template {
			template.add(column)
		}
		if c.agent.Extension != "" {
			extensions.add(center + "/" + c.agent.Extension)
		}
		if c.agent.Mailbox != "" {
			mailboxes.add(address(c.agent.Mailbox, settings.Context))
			voicemail[key{c.agent.Mailbox, settings.Context}] = true
		}
		for _, m := range c.agent.Memberships {
			if m.Voice() {
				queues.add(m.Queue)
			}
		}
	}

	r.registry(st, kindAgent, names.names)
	if len(mailboxes.names) > 0 {
		r.rows(st.registry, r.selecting(st.registry).add(" WHERE mailbox IN ").list(mailboxes.names))
	}
	for _, row := range st.registry.order {
		for _, column := range split(row.now[regColumns].text) {
			template.add(column)
		}
		if m := row.now[regMailbox].text; m != "" && row.key[0] == kindAgent {
			st.mailboxes[m] = row.key[1]
			voicemail[mailboxKey(m)] = true
		}
	}
	r.where(st.members, "interface", interfaces.names)
	r.where(st.memberships, "agent", names.names)
	for _, t := range []*rows{st.members, st.memberships} {
		for _, row := range t.order {
			queue := row.key[0]
			if t == st.memberships {
				queue = row.key[1]
			}
			queues.add(queue)
		}
	}
	r.registry(st, kindQueue, queues.names)
	r.where(st.queues, "name", slices.DeleteFunc(queues.names, func(q string) bool {
		reg := st.registry.get(key{kindQueue, q})
		return reg != nil && reg[regClaimed].text == "1"
	}))
	st.endpoints = newRows(sch.endpointsWith(template.names), &st.journal)
	for _, t := range []*rows{st.endpoints, st.auths, st.aors} {
		r.where(t, "id", names.names)
	}
	for _, t := range st.contacts {
		r.where(t, "endpoint", names.names)
	}
	r.where(st.agents, "name", names.names)
	r.where(st.revocations, "agent", names.names)
	r.where(st.extensions, "interface", interfaces.names)
	r.where(st.extensions, "key", extensions.names)
	r.holders(st, center)
	r.voicemail(st, slices.Collect(maps.Keys(voicemail)))
}

// holders reads the registry entries of those whose extensions are to ring somebody else.
func (r *reader) holders(st *state, center string) {
	names := map[string][]string{}
	for _, row := range st.extensions.order {
		k, ok := holderOf(row.now)
		if ok && row.now[extCenter].text == center && st.registry.get(k) == nil {
			names[k[0]] = append(names[k[0]], k[1])
		}
	}
	for _, kind := range []string{kindAgent, kindQueue} {
		r.registry(st, kind, names[kind])
	}
}

func (r *reader) registry(st *state, kind string, names []string) {
	if len(names) == 0 {
		return
	}
	r.rows(st.registry, r.selecting(st.registry).add(" WHERE kind = ").arg(kind).add(" AND name IN ").list(names))
}

func (r *reader) voicemail(st *state, keys []key) {
	if len(keys) == 0 {
		return
	}
	s := r.selecting(st.voicemail).add(" WHERE (mailbox, context) IN (VALUES ")
	for i, k := range keys {
		if i > 0 {
			s.add(", ")
		}
		s.list(k[:2])
	}
	r.rows(st.voicemail, s.add(")"))
}

// queues reads what the plans of queues look at: of members those that nobody registered and that are to go.
func (r *reader) queues(st *state, center string, calls []*call) {
	var names, extensions, strays wanted
	for _, c := range calls {
		names.add(c.name)
		if c.queue == nil || !c.queue.Voice || c.queue.Members == telephony.MembersAuthoritative {
			strays.add(c.name)
		}
		if c.queue != nil && c.queue.Extension != "" {
			extensions.add(center + "/" + c.queue.Extension)
		}
	}
	r.registry(st, kindQueue, names.names)
	r.where(st.queues, "name", names.names)
	r.where(st.extensions, "queue", names.names)
	r.where(st.extensions, "key", extensions.names)
	r.holders(st, center)
	if len(strays.names) > 0 {
		r.rows(st.members, r.selecting(st.members).add(" WHERE queue_name IN ").list(strays.names).
			add(" AND NOT EXISTS (SELECT 1 FROM roster_memberships r WHERE r.center = ").arg(center).
			add(" AND r.queue = queue_members.queue_name AND r.agent = SUBSTR(queue_members.interface, 7)"+
				" AND r.channel = 'Voice' AND r.penalty IS NOT NULL AND queue_members.interface = 'PJSIP/' || r.agent)"))
	}
}
