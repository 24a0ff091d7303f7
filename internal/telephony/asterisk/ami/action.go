package ami

import (
	"errors"
	"fmt"
	"strings"
)

// maxSent is the length of the longest line that Asterisk takes; it drops longer ones without a word.
const maxSent = 1000

// Action is something to ask of a server. Printed, it shows no values.
type Action struct {
	name   string
	fields []string
}

// NewAction makes an action of a name and of keys and values in turn.
func NewAction(name string, keysAndValues ...string) Action {
	return Action{name: name, fields: keysAndValues}
}

func (a Action) String() string { return a.name }

// GoString is String.
func (a Action) GoString() string { return a.name }

// Check refuses an action that would be read as something else: a value that ends its line begins a field of its
// own, or an action.
func (a Action) Check() error {
	if len(a.fields)%2 != 0 {
		return fmt.Errorf("action %s has a key without a value", a.name)
	}
	if strings.ContainsAny(a.name, "\r\n\x00") {
		return errors.New("an action's name holds the end of a line")
	}
	for i := 0; i < len(a.fields); i += 2 {
		key, value := a.fields[i], a.fields[i+1]
		if key == "" || strings.ContainsAny(key, "\r\n\x00: ") {
			return fmt.Errorf("action %s has a key that is none", a.name)
		}
		if strings.ContainsAny(value, "\r\n\x00") {
			return fmt.Errorf("action %s: the value of %s holds the end of a line", a.name, key)
		}
		if len(key)+len(value) > maxSent {
			return fmt.Errorf("action %s: the value of %s is too long", a.name, key)
		}
	}
	return nil
}

// encode is the action as it is sent.
func (a Action) encode(id string) []byte {
	var b []byte
	field := func(key, value string) {
		b = append(b, key...)
		b = append(b, ": "...)
		b = append(b, value...)
		b = append(b, "\r\n"...)
	}
	field("Action", a.name)
	field("ActionID", id)
	for i := 0; i < len(a.fields); i += 2 {
		field(a.fields[i], a.fields[i+1])
	}
	return append(b, "\r\n"...)
}
