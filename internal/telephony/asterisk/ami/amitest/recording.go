package amitest

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// Recording is what a real server and a client said to each other. In its file each line begins with "> " where
// the client says it and with "< " where the server does; "\n" and "\\" are escapes.
type Recording struct {
	// Exchanges are an action each, and all that the server said until the next one.
	Exchanges []Exchange
	// Banner is the server's first line.
	Banner string
}

// Exchange is an action and what the server said after it.
type Exchange struct {
	// Action is its name; Fields are keys and values in turn, without Action and ActionID.
	Action string
	Fields []string
	// ID is the action's ActionID in the recording.
	ID string
	// Said is the server's words.
	Said string
}

// Read reads a recording.
func Read(t testing.TB, path string) *Recording {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	recording := &Recording{}
	var current *Exchange
	client := false
	for line := range strings.Lines(string(data)) {
		line = strings.TrimSuffix(line, "\n")
		text := strings.NewReplacer(`\\`, `\`, `\n`, "\n").Replace(strings.TrimPrefix(line[min(1, len(line)):], " "))
		switch {
		case strings.HasPrefix(line, "#"):
		case strings.HasPrefix(line, "<"):
			client = false
			if current == nil {
				recording.Banner = text + "\r\n"
				continue
			}
			current.Said += text + "\r\n"
		case strings.HasPrefix(line, ">"):
			if !client {
				recording.Exchanges = append(recording.Exchanges, Exchange{})
				current = &recording.Exchanges[len(recording.Exchanges)-1]
				client = true
			}
			key, value, _ := strings.Cut(text, ": ")
			switch key {
			case "":
			case "Action":
				current.Action = value
			case "ActionID":
				current.ID = value
			default:
				current.Fields = append(current.Fields, key, value)
			}
		default:
			t.Fatalf("%s: %q is neither side's", path, line)
		}
	}
	if recording.Banner == "" || len(recording.Exchanges) == 0 {
		t.Fatalf("%s: nothing was recorded", path)
	}
	return recording
}

// Replay makes the server say what was recorded, to whoever asks the same actions in the same order.
// The credentials are the Server's, not the recording's.
func (s *Server) Replay(t testing.TB, recording *Recording) {
	t.Helper()
	next := 0
	handler := func(r *Request) {
		if next >= len(recording.Exchanges) {
			r.Error("The recording is over")
			return
		}
		e := recording.Exchanges[next]
		next++
		for i := 0; i < len(e.Fields); i += 2 {
			if key := e.Fields[i]; key != "Username" && key != "Secret" && r.Get(key) != e.Fields[i+1] {
				r.Error(fmt.Sprintf("The recording has %s: %s here", key, e.Fields[i+1]))
				return
			}
		}
		if r.Get("Action") != e.Action {
			r.Error("The recording has " + e.Action + " here")
			return
		}
		r.Raw(strings.ReplaceAll(e.Said, "\r\nActionID: "+e.ID+"\r\n", "\r\nActionID: "+r.ID()+"\r\n"))
	}
	for _, e := range recording.Exchanges {
		s.Handle(e.Action, handler)
	}
	s.mu.Lock()
	s.banner = recording.Banner
	s.mu.Unlock()
}
