package roster

// HasGroup says whether the centre knows a group.
func (d *Directory) HasGroup(name string) bool {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.groups.all[name] != nil
}

// HasTeam says whether the centre knows a team.
func (d *Directory) HasTeam(name string) bool {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.teams.all[name] != nil
}

// HasQueue says whether the centre knows a queue.
func (d *Directory) HasQueue(name string) bool {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.queues[name] != nil
}

// GroupColor is the color that marks a group's people; empty for none.
func (d *Directory) GroupColor(name string) string {
	d.mu.RLock()
	defer d.mu.RUnlock()
	if g := d.groups.all[name]; g != nil {
		return g.Color
	}
	return ""
}

// Authoritative says whether the centre knows a queue and has members taken out of it that nobody declared.
func (d *Directory) Authoritative(name string) bool {
	d.mu.RLock()
	defer d.mu.RUnlock()
	q := d.queues[name]
	return q != nil && q.Strict
}
