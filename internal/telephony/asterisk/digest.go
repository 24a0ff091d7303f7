package asterisk

import (
	"fmt"
	"strconv"
	"strings"
)

// digestVersion begins every digest. What another version wrote cannot be compared with.
const digestVersion = "2"

// digest is the sum of the hashes of the rows of a person or queue, in whatever order they come.
type digest uint64

func (d digest) cell() cell { return text(digestVersion + fmt.Sprintf("%016x", uint64(d))) }

// parseDigest is false where nothing is recorded to compare with.
func parseDigest(s string) (digest, bool) {
	hex, ok := strings.CutPrefix(s, digestVersion)
	n, err := strconv.ParseUint(hex, 16, 64)
	return digest(n), ok && err == nil
}

// rowHash is the hash of a row's values so far: FNV-1a, each value ended by a byte that no text contains.
type rowHash uint64

const fnvPrime = 1099511628211

func newRowHash(table string) rowHash { return hashed(rowHash(14695981039346656037), table) }

// hashed is h with one more value.
func hashed[T ~string | ~[]byte](h rowHash, value T) rowHash {
	for i := range len(value) {
		h = (h ^ rowHash(value[i])) * fnvPrime
	}
	return (h ^ 0xff) * fnvPrime
}

// paused is h with whether a member who is to be paused is so.
func (h rowHash) paused(column string) rowHash {
	if isPaused(column) {
		return hashed(h, "paused")
	}
	return hashed(h, "not paused")
}

// digest mixes the bits, so that sums of rows that are alike differ.
func (h rowHash) digest() digest {
	x := uint64(h)
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return digest(x ^ x>>31)
}

// isPaused reads queue_members.paused.
func isPaused(column string) bool { return column != "" && column != "0" }

// passwordCheck tells a password from most others. It is short, so that whoever reads it learns next to nothing.
func passwordCheck[T ~string | ~[]byte](agent string, password T) uint16 {
	return uint16(hashed(newRowHash(agent), password).digest())
}

// hash is that of a row as planned.
func (t *rows) hash(k key, cells []cell) rowHash {
	h := newRowHash(t.table)
	for _, v := range k[:len(t.key)] {
		h = hashed(h, v)
	}
	for _, i := range t.watched {
		h = hashed(h, cells[i].text)
	}
	return h
}

// sum is the digest of rows as planned.
func (t *rows) sum(list []*row) (d digest) {
	for _, r := range list {
		d += t.hash(r.key, r.now).digest()
	}
	return d
}

// inCenter are the rows whose first column of the key is the centre.
func (p *planner) inCenter(list []*row) (found []*row) {
	for _, r := range list {
		if r.key[0] == p.center {
			found = append(found, r)
		}
	}
	return found
}

// agentDigest is that of the rows of a person, with what the registry holds of them.
func (p *planner) agentDigest(name string, reg []cell) digest {
	k := key{name}
	var d digest
	if reg[regClaimed].text == "1" {
		for _, t := range []*rows{p.auths, p.aors} {
			if r := t.get(k); r != nil {
				d += t.hash(k, r).digest()
			}
		}
		if r := p.endpoints.get(k); r != nil {
			h := p.endpoints.hash(k, r)
			for _, c := range split(reg[regColumns].text) {
				h = hashed(h, c)
				value := ""
				if i := p.endpoints.column(c); i >= 0 {
					value = r[i].text
				}
				h = hashed(h, value)
			}
			d += h.digest()
		}
	}
	for _, r := range p.members.owned(interfaceOf(name)) {
		if !p.added(name, r.key[0]) {
			continue
		}
		h := p.members.hash(r.key, r.now)
		if reg[regPauseReason].text != "" {
			h = h.paused(r.now[memPaused].text)
		}
		d += h.digest()
	}
	if mailbox := reg[regMailbox].text; mailbox != "" {
		if k := mailboxKey(mailbox); p.voicemail.get(k) != nil {
			d += p.voicemail.hash(k, p.voicemail.get(k)).digest()
		}
	}
	if r := p.agents.get(k); r != nil && r[repCenter].text == p.center {
		d += p.agents.hash(k, r).digest()
	}
	d += p.memberships.sum(p.inCenter(p.memberships.owned(name)))
	d += p.revocations.sum(p.inCenter(p.revocations.owned(name)))
	return d + p.extensionsDigest(interfaceOf(name))
}

// queueDigest is that of the rows of a queue, its members excepted.
func (p *planner) queueDigest(name string, reg []cell) digest {
	d := p.extensionsDigest(queueOwner(name))
	if r := p.queues.get(key{name}); r != nil && reg[regClaimed].text == "1" {
		d += p.queues.hash(key{name}, r).digest()
	}
	return d
}

func (p *planner) extensionsDigest(owner string) (d digest) {
	for _, r := range p.extensions.owned(owner) {
		if r.now[extCenter].text == p.center {
			d += p.extensions.hash(r.key, r.now).digest()
		}
	}
	return d
}

// seal records what a call's rows are once the whole batch is planned.
func (p *planner) seal(c *call) {
	reg := p.registry.get(key{c.kind, c.name})
	if c.err != nil || reg == nil || (c.agent == nil && c.queue == nil) {
		return
	}
	d := p.queueDigest
	if c.kind == kindAgent {
		d = p.agentDigest
	}
	if p.record(key{c.kind, c.name}, d(c.name, reg)) {
		c.result.Changed = true
		if len(c.result.Written) == 0 {
			c.result.Written = []string{p.registry.table}
		}
	}
}

// record records a digest. It says whether that is another.
func (p *planner) record(k key, d digest) bool {
	cells := append([]cell(nil), p.registry.get(k)...)
	if cells[regRowsHash] == d.cell() {
		return false
	}
	cells[regRowsHash] = d.cell()
	p.registry.set(p.registry.row(k), cells)
	return true
}

// taken notes that an extension's row is no longer its holder's, by Roster's own hand.
func (p *planner) taken(k key, extension []cell) {
	holder, ok := holderOf(extension)
	if !ok {
		return
	}
	reg := p.registry.get(holder)
	if reg == nil || reg[regCenter].text != p.center {
		return
	}
	if d, ok := parseDigest(reg[regRowsHash].text); ok {
		p.record(holder, d-p.extensions.hash(k, extension).digest())
	}
}
