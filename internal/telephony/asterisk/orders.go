package asterisk

import (
	"encoding/json"
	"slices"
	"strings"

	"roster.dev/roster/internal/telephony"
)

const (
	// maximumOrder is the most characters of an order's value that are recorded.
	maximumOrder = 256
	// reasonLength is that of reason_paused in Asterisk's queue_members table.
	reasonLength = 80
)

// orders plans what is to be done once and records it in reg as done.
func (p *planner) orders(a *telephony.Agent, reg []cell) error {
	handled := parseHandled(reg[regHandled].text)
	for _, o := range a.Orders {
		value := cut(o.Value, maximumOrder)
		if handled[o.Kind] == value {
			continue
		}
		if !o.Skip {
			if err := p.order(a, o, reg); err != nil {
				return err
			}
		}
		if handled == nil {
			handled = map[telephony.OrderKind]string{}
		}
		handled[o.Kind] = value
	}
	written, err := handledCell(handled)
	reg[regHandled] = written
	return err
}

func (p *planner) order(a *telephony.Agent, o telephony.Order, reg []cell) error {
	switch o.Kind {
	case telephony.OrderLogout:
		return p.expire(a.Name)
	case telephony.OrderPause:
		return p.pause(a.Name, cut(o.Reason, reasonLength))
	case telephony.OrderUnpause:
		return p.unpause(a, reg)
	}
	return nil
}

// pause pauses a person wherever they are not paused. It is their own pause from then on.
func (p *planner) pause(agent, reason string) error {
	for _, r := range p.places(agent) {
		if !isPaused(r.now[memPaused].text) {
			if err := p.setPause(r, true, reason); err != nil {
				return err
			}
		}
	}
	return nil
}

// unpause lifts every pause of a person. Where they are to be paused, what stays is Roster's pause.
func (p *planner) unpause(a *telephony.Agent, reg []cell) error {
	reg[regAway] = null
	own := split(reg[regOwnPauses].text)
	for _, r := range p.places(a.Name) {
		queue := r.key[0]
		if !isPaused(r.now[memPaused].text) {
			continue
		}
		kept := a.PauseReason != "" && p.added(a.Name, queue)
		reason := ""
		if kept {
			reason = a.PauseReason
		}
		if err := p.setPause(r, kept, reason); err != nil {
			return err
		}
		if kept && !slices.Contains(own, queue) {
			own = append(own, queue)
		}
	}
	slices.Sort(own)
	reg[regOwnPauses] = text(strings.Join(own, ","))
	return nil
}

func (p *planner) setPause(r *row, paused bool, reason string) error {
	cells := slices.Clone(r.now)
	cells[memPaused], cells[memReason] = flag(paused), cell{text: reason}
	return p.members.put(r.key, cells)
}

// parseHandled are the values of the orders carried out, nil for none.
func parseHandled(s string) (handled map[telephony.OrderKind]string) {
	if s != "" && json.Unmarshal([]byte(s), &handled) != nil {
		return nil // somebody wrote there: orders are old, and come to be skipped, soon enough
	}
	return handled
}

func handledCell(handled map[telephony.OrderKind]string) (cell, error) {
	if len(handled) == 0 {
		return null, nil
	}
	written, err := json.Marshal(handled)
	return cell{text: string(written)}, err
}
