package ami

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"roster.dev/roster/internal/telephony/asterisk/ami/amitest"
)

func readAll(t *testing.T, r io.Reader) (messages []*Message, err error) {
	t.Helper()
	in := newReader(r)
	for {
		m, err := in.read()
		if err != nil {
			return messages, err
		}
		messages = append(messages, m.clone())
	}
}

func TestReadMessages(t *testing.T) {
	long := strings.Repeat("x", maxLine+1)
	for _, tt := range []struct {
		name, text string
		want       [][]string
		err        error
	}{
		{"a response", "Response: Success\r\nMessage: Fine\r\n\r\n", [][]string{{"Response", "Success", "Message", "Fine"}}, io.EOF},
		{"two messages", "Event: A\r\n\r\nEvent: B\r\n\r\n", [][]string{{"Event", "A"}, {"Event", "B"}}, io.EOF},
		{"an empty value, with and without the space", "A: \r\nB:\r\n\r\n", [][]string{{"A", "", "B", ""}}, io.EOF},
		{"a value with colons and spaces", "URI: sip:a@[::1]:5060  \r\n\r\n", [][]string{{"URI", "sip:a@[::1]:5060  "}}, io.EOF},
		{"only the first space is not the value's", "A:  b\r\n\r\n", [][]string{{"A", " b"}}, io.EOF},
		{"a key that comes again", "V: 1\r\nV: 2\r\n\r\n", [][]string{{"V", "1", "V", "2"}}, io.EOF},
		{"a line feed within a value", "Message: one\ntwo\r\n\r\n", [][]string{{"Message", "one\ntwo"}}, io.EOF},
		{"a line feed at the end of a value", "Message: No Contacts found\n\r\n\r\n", [][]string{{"Message", "No Contacts found\n"}}, io.EOF},
		{"a carriage return within a value", "A: one\rtwo\r\r\n\r\n", [][]string{{"A", "one\rtwo\r"}}, io.EOF},
		{"a line without a colon", "junk\r\nA: 1\r\n: 2\r\n\r\n", [][]string{{"A", "1"}}, io.EOF},
		{"a message of junk", "junk\r\n\r\nA: 1\r\n\r\n", [][]string{nil, {"A", "1"}}, io.EOF},
		{"empty lines between", "\r\n\r\nA: 1\r\n\r\n\r\n\r\nB: 2\r\n\r\n", [][]string{{"A", "1"}, {"B", "2"}}, io.EOF},
		{"a line that is too long", "A: 1\r\nB: " + long + "\r\nC: 3\r\n\r\n", [][]string{{"A", "1", "C", "3"}}, io.EOF},
		{"a long line of line feeds", "A: 1\r\nB: " + strings.Repeat("\n", maxLine+1) + "\r\nC: 3\r\n\r\n", [][]string{{"A", "1", "C", "3"}}, io.EOF},
		{"broken off within a line", "A: 1\r\nB", nil, io.ErrUnexpectedEOF},
		{"broken off within a message", "A: 1\r\n", nil, io.ErrUnexpectedEOF},
		{"nothing", "", nil, io.EOF},
	} {
		for how, r := range map[string]io.Reader{
			"at once":      strings.NewReader(tt.text),
			"byte by byte": iotest.OneByteReader(strings.NewReader(tt.text)),
		} {
			t.Run(tt.name+" "+how, func(t *testing.T) {
				messages, err := readAll(t, r)
				if !errors.Is(err, tt.err) {
					t.Errorf("ended with %v, want %v", err, tt.err)
				}
				var got [][]string
				for _, m := range messages {
					var fields []string
					for k, v := range m.All {
						fields = append(fields, k, v)
					}
					got = append(got, fields)
				}
				if fmt.Sprint(got) != fmt.Sprint(tt.want) || len(got) != len(tt.want) {
					t.Errorf("read %q, want %q", got, tt.want)
				}
			})
		}
	}
}

func TestReadIsBounded(t *testing.T) {
	var b bytes.Buffer
	for i := range 3 * maxFields {
		fmt.Fprintf(&b, "Key-%d: %d\r\n", i, i)
	}
	b.WriteString("\r\n")
	for range 2 * maxMessage / 1000 {
		b.WriteString("K: " + strings.Repeat("v", 1000) + "\r\n")
	}
	b.WriteString("\r\nEvent: After\r\n\r\n")
	in := newReader(&b)
	if m, err := in.read(); err != nil || len(m.fields) != maxFields {
		t.Fatalf("%d fields were kept (%v), want %d", len(m.fields), err, maxFields)
	}
	if m, err := in.read(); err != nil || len(m.text) > maxMessage {
		t.Fatalf("%d bytes were kept (%v), want at most %d", len(m.text), err, maxMessage)
	}
	if m, err := in.read(); err != nil || m.Get("Event") != "After" {
		t.Fatalf("the message after was not read: %v", err)
	}
}

func TestLookup(t *testing.T) {
	messages, _ := readAll(t, strings.NewReader("Event: Status\r\nVariable: a=1\r\nvariable: b=2\r\nPausedReason: \r\n\r\n"))
	m := messages[0]
	if got := m.Values("Variable"); !slices.Equal(got, []string{"a=1", "b=2"}) {
		t.Errorf("Values = %q", got)
	}
	if m.Get("event") != "Status" || !m.Is("Event", "Status") || m.Is("Even", "Status") {
		t.Error("the case of keys must not matter, and their length must")
	}
	if value, ok := m.Lookup("PausedReason"); !ok || len(value) != 0 {
		t.Error("an empty value is there")
	}
	if _, ok := m.Lookup("Reason"); ok || m.Get("Reason") != "" {
		t.Error("what is not there is not")
	}
}

// FuzzRead lets a server say anything, in any portions.
func FuzzRead(f *testing.F) {
	paths, _ := filepath.Glob("testdata/*/*.txt")
	if len(paths) == 0 {
		f.Fatal("there are no recordings")
	}
	for _, path := range paths {
		recording := amitest.Read(f, path)
		for _, e := range recording.Exchanges {
			f.Add([]byte(e.Said), 7)
		}
	}
	f.Add([]byte("\r\n\r\n\n\r\r\n:\r\nA\r\n"), 1)
	f.Add([]byte("A: \nB: \r\r\n\n\r\n"), 2)
	f.Fuzz(func(t *testing.T, data []byte, portion int) {
		whole, wholeErr := readAll(t, bytes.NewReader(data))
		parts, partsErr := readAll(t, &portions{data, 1 + abs(portion)%len(append(data, 0))})
		if len(whole) != len(parts) || !errors.Is(partsErr, wholeErr) {
			t.Fatalf("in portions: %d messages and %v, at once %d and %v", len(parts), partsErr, len(whole), wholeErr)
		}
		total := 0
		for i, m := range whole {
			if !bytes.Equal(m.text, parts[i].text) {
				t.Fatalf("message %d is %q in portions, %q at once", i, parts[i].text, m.text)
			}
			total += len(m.text)
			if len(m.fields) > maxFields || len(m.text) > maxMessage {
				t.Fatalf("message %d has %d fields and %d bytes", i, len(m.fields), len(m.text))
			}
			for key, value := range m.All {
				if key == "" || strings.Contains(key, ":") || strings.Contains(value, "\r\n") || strings.Contains(key, "\r\n") {
					t.Fatalf("a field is %q: %q", key, value)
				}
				if len(key)+len(value) > maxLine {
					t.Fatalf("a field has %d bytes", len(key)+len(value))
				}
			}
		}
		if total > len(data) {
			t.Fatalf("%d bytes were made of %d", total, len(data))
		}
	})
}

// portions is a reader that gives so many bytes at a time.
type portions struct {
	data []byte
	size int
}

func (p *portions) Read(b []byte) (int, error) {
	if len(p.data) == 0 {
		return 0, io.EOF
	}
	n := copy(b[:min(len(b), p.size)], p.data)
	p.data = p.data[n:]
	return n, nil
}

func abs(n int) int {
	if n < 0 {
		return -(n + 1)
	}
	return n
}

// BenchmarkReadMembers reads the members of a centre of 20,000 memberships.
func BenchmarkReadMembers(b *testing.B) {
	const members = 20000
	item := recordedMember(b)
	data := bytes.Repeat([]byte(item), members)
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		in := newReader(bytes.NewReader(data))
		n := 0
		for {
			m, err := in.read()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				b.Fatal(err)
			}
			if value, ok := m.Lookup("Location"); ok && len(value) > 0 && m.Is("Paused", "1") {
				n++
			}
		}
		if n != members {
			b.Fatalf("%d members", n)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/members, "ns/member")
}

// recordedMember is a member as a real server said it.
func recordedMember(t testing.TB) string {
	for _, e := range amitest.Read(t, filepath.Join("testdata", "asterisk-22", "actions.txt")).Exchanges {
		if i := strings.Index(e.Said, "Event: QueueMember\r\n"); e.Action == "QueueStatus" && slices.Contains(e.Fields, "Member") && i >= 0 {
			item, _, _ := strings.Cut(e.Said[i:], "\r\n\r\n")
			return item + "\r\n\r\n"
		}
	}
	t.Fatal("no member was recorded")
	return ""
}
