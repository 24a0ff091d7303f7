package phone

import (
	"bufio"
	"io"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// readEvents takes the lines that the scenario logs, to the end.
func (p *Phone) readEvents(from io.Reader) {
	lines := bufio.NewScanner(from)
	for lines.Scan() {
		event, rest, _ := strings.Cut(lines.Text(), " ")
		id, detail, _ := strings.Cut(rest, " ")
		p.happened(event, id, detail)
	}
}

// happened takes one event of the scenario.
func (p *Phone) happened(event, id, detail string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if event == "incoming" {
		p.ring(id, detail)
		return
	}
	if answer, ok := p.answers[id]; ok {
		answer <- detail
		delete(p.answers, id)
		return
	}
	call, ok := p.calls[id]
	if !ok {
		return
	}
	switch event {
	case "ringing":
		call.ring()
	case "answered":
		call.answer()
	case "refused":
		call.status, _ = strconv.Atoi(detail) // the scenario lets digits through
		call.end(There)
	case "ended":
		if detail == "there" {
			call.end(There)
		} else {
			call.end(Here)
		}
	}
}

// ring takes a new call, and has it handled.
func (p *Phone) ring(id, from string) {
	call := newCall(p, id, Incoming)
	call.name, call.number = caller(from)
	p.calls[id] = call
	p.incoming = append(p.incoming, call)
	close(p.changed)
	p.changed = make(chan struct{})
	go call.handle(p.handling)
}

// handle does with a new call what the phone is to do with it.
func (c *Call) handle(handling Handling) {
	if handling.answer == handleBusy {
		_ = c.Busy() // a phone that has ended has ended the call
		return
	}
	_ = c.phone.order(orderRing, c.id)
	if handling.answer == handleRing {
		return
	}
	if handling.after > 0 {
		select {
		case <-time.After(handling.after):
		case <-c.ended:
			return
		}
	}
	if handling.answer == handleDecline {
		_ = c.phone.order(orderDecline, c.id)
	} else {
		_ = c.Answer()
	}
}

var (
	quotedName = regexp.MustCompile(`^"((?:[^"\\]|\\.)*)"\s*<`)
	plainName  = regexp.MustCompile(`^([^"<]*[^"<\s])\s*<`)
	uriUser    = regexp.MustCompile(`sips?:([^@>;]+)@`)
	escaped    = regexp.MustCompile(`\\(.)`)
)

// caller is the name and the number of a From header.
func caller(from string) (name, number string) {
	if m := quotedName.FindStringSubmatch(from); m != nil {
		name = escaped.ReplaceAllString(m[1], "$1")
	} else if m := plainName.FindStringSubmatch(from); m != nil {
		name = m[1]
	}
	if m := uriUser.FindStringSubmatch(from); m != nil {
		number = m[1]
	}
	return name, number
}
