package live

import "roster.dev/roster/internal/telephony"

// Listening is a person's phone that listens to another's call.
type Listening struct {
	Server, Channel  string
	Listener, Target string
}

// Member is a member of a queue as a server's memory has it.
type Member struct {
	Server, Queue, Interface, Agent string
	telephony.MemberState
}

// effects are what an event asks somebody to look at.
type effects struct {
	// moved are people of whom a Sight tells something else now.
	moved []string
	// stirred is a person whose phone has one call more or less, or is not registered any more.
	stirred string
	// paused is a member whose pause somebody changed on the server.
	paused *Member
	// stray is a member that is in the server's memory only.
	stray     *Member
	listening *Listening
}

// observe takes in what a server tells.
func (b *board) observe(server string, e telephony.Event) (x effects) {
	b.mu.Lock()
	defer b.mu.Unlock()
	v := b.servers[server]
	if v == nil {
		return x
	}
	switch e.Kind {
	case telephony.EventDevice:
		before := b.device(e.Agent)
		if e.Device == telephony.DeviceUnavailable {
			delete(v.devices, e.Agent)
			x.stirred = e.Agent
		} else {
			v.devices[e.Agent] = e.Device
		}
		if b.device(e.Agent) != before {
			x.moved = append(x.moved, e.Agent)
		}
	case telephony.EventMember:
		x = b.member(server, v, e)
	case telephony.EventMemberGone:
		if e.Agent != "" && b.vacate(e.Agent, e.Queue) {
			x.moved = append(x.moved, e.Agent)
		}
	case telephony.EventQueueRead:
		x.moved = b.answered(v, telephony.Query{Queue: e.Queue, Agent: e.Agent})
	case telephony.EventChannel:
		if e.Agent == "" {
			break
		}
		c := v.channels[e.Channel]
		c.agent = e.Agent
		v.channels[e.Channel] = c
		if v.byAgent[e.Agent] == nil {
			v.byAgent[e.Agent] = map[string]struct{}{}
		}
		v.byAgent[e.Agent][e.Channel] = struct{}{}
		x.stirred = e.Agent
	case telephony.EventChannelGone:
		x.stirred = v.hangUp(e.Channel)
	case telephony.EventListen:
		c, known := v.channels[e.Channel]
		if !known {
			c.agent = e.Agent
		}
		c.target, c.targetAgent = e.Target, e.TargetAgent
		v.channels[e.Channel] = c
		if c.agent != "" {
			x.listening = &Listening{Server: server, Channel: e.Channel, Listener: c.agent, Target: e.TargetAgent}
		}
	case telephony.EventListenEnd:
		if c, known := v.channels[e.Channel]; known {
			c.target, c.targetAgent = "", ""
			v.channels[e.Channel] = c
		}
	}
	return x
}

func (v *view) hangUp(channel string) (agent string) {
	c, known := v.channels[channel]
	if !known {
		return ""
	}
	delete(v.channels, channel)
	delete(v.byAgent[c.agent], channel)
	if len(v.byAgent[c.agent]) == 0 {
		delete(v.byAgent, c.agent)
	}
	return c.agent
}

// device is the most active state of a person's phone on any server.
func (b *board) device(agent string) (d telephony.DeviceState) {
	for _, v := range b.servers {
		d = max(d, v.devices[agent])
	}
	return d
}

func (b *board) member(server string, v *view, e telephony.Event) (x effects) {
	m := &Member{Server: server, Queue: e.Queue, Interface: e.Interface, Agent: e.Agent, MemberState: e.Member}
	if e.Member.Dynamic {
		x.stray = m
	}
	if e.Agent == "" {
		return x
	}
	for _, q := range [...]telephony.Query{{Queue: e.Queue}, {Queue: e.Queue, Agent: e.Agent}} {
		if told := v.told[q]; told != nil {
			told[e.Agent] = struct{}{}
		}
	}
	p := b.people[e.Agent][e.Queue]
	known := p != nil
	if !known {
		p = b.seat(e.Agent, e.Queue)
	}
	was := p.MemberSight
	p.Paused, p.PauseReason = e.Member.Paused, e.Member.PauseReason
	if e.Member.InCall {
		if p.inCall == nil {
			p.inCall = map[string]struct{}{}
		}
		p.inCall[server] = struct{}{}
	} else {
		delete(p.inCall, server)
	}
	p.InCall = len(p.inCall) > 0
	if !known || was != p.MemberSight {
		x.moved = append(x.moved, e.Agent)
	}
	if known && e.Pressed {
		x.paused = m // whatever else changes a pause is in the database, of which the other servers are told as well
	}
	return x
}

// seat makes a person's place in a queue.
func (b *board) seat(agent, queue string) *seat {
	p := &seat{}
	if b.people[agent] == nil {
		b.people[agent] = map[string]*seat{}
	}
	if b.queues[queue] == nil {
		b.queues[queue] = map[string]*seat{}
	}
	b.people[agent][queue], b.queues[queue][agent] = p, p
	return p
}

func (b *board) vacate(agent, queue string) bool {
	if b.people[agent][queue] == nil {
		return false
	}
	if delete(b.people[agent], queue); len(b.people[agent]) == 0 {
		delete(b.people, agent)
	}
	if delete(b.queues[queue], agent); len(b.queues[queue]) == 0 {
		delete(b.queues, queue)
	}
	return true
}

// ask notes that a server is being asked.
func (b *board) ask(server string, queries []telephony.Query) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if v := b.servers[server]; v != nil {
		for _, q := range queries {
			v.told[q] = map[string]struct{}{}
		}
	}
}

// answered takes those out of a queue that a server was asked for and did not tell of. It returns them.
func (b *board) answered(v *view, q telephony.Query) (gone []string) {
	told := v.told[q]
	if told == nil {
		return nil
	}
	delete(v.told, q)
	if q.Agent != "" {
		if len(told) == 0 && b.vacate(q.Agent, q.Queue) {
			return []string{q.Agent}
		}
		return nil
	}
	for agent := range b.queues[q.Queue] {
		if _, is := told[agent]; !is {
			gone = append(gone, agent)
		}
	}
	for _, agent := range gone {
		b.vacate(agent, q.Queue)
	}
	return gone
}

// presence is what is left of a person's connection to the servers.
func (b *board) presence(agent string) (p Presence) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	for name, v := range b.servers {
		if !v.watched {
			p.Unwatched = append(p.Unwatched, name)
			continue
		}
		p.Device = max(p.Device, v.devices[agent])
		for channel := range v.byAgent[agent] {
			p.Channels = append(p.Channels, Channel{Server: name, Name: channel, ListensTo: v.channels[channel].targetAgent})
		}
	}
	return p
}

// listening are all sessions that listen to others.
func (b *board) listening() (list []Listening) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	for name, v := range b.servers {
		for channel, c := range v.channels {
			if c.target != "" && c.agent != "" {
				list = append(list, Listening{Server: name, Channel: channel, Listener: c.agent, Target: c.targetAgent})
			}
		}
	}
	return list
}

// settled begins to believe what a server told.
func (b *board) settled(server string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if v := b.servers[server]; v != nil {
		v.watched = true
	}
}

// blind forgets what a server showed. It returns the people of whom a Sight may tell something else now.
func (b *board) blind(server string) (moved []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	v := b.servers[server]
	if v == nil {
		return nil
	}
	was := v.watched
	b.servers[server] = newView()
	for agent := range v.devices {
		moved = append(moved, agent)
	}
	for agent, places := range b.people {
		for _, p := range places {
			if _, busy := p.inCall[server]; busy {
				delete(p.inCall, server)
				p.InCall = len(p.inCall) > 0
			}
		}
		if was && v.devices[agent] == telephony.DeviceUnavailable {
			moved = append(moved, agent)
		}
	}
	return moved
}
