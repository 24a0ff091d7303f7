package ami

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
)

// Bounds of what a server may make us keep. Fields beyond them are left out, so that one odd value does not cost
// the connection.
const (
	maxLine    = 64 << 10 // bytes of a line
	maxFields  = 2048     // fields of a message
	maxMessage = 1 << 20  // bytes of a message
)

// Message is what a server says: a response or an event, with its fields in order. One that is handed to a
// callback is valid until the callback returns.
type Message struct {
	text   []byte
	fields []span
}

// span is a field's place in the text: the key, and the value up to the next field's key.
type span struct {
	key, keyEnd, value, valueEnd int
}

// Lookup is the first value of a key, whose case does not matter, and whether there is one. The bytes are the message's.
func (m *Message) Lookup(key string) ([]byte, bool) {
	for _, f := range m.fields {
		if f.keyEnd-f.key == len(key) && strings.EqualFold(string(m.text[f.key:f.keyEnd]), key) {
			return m.text[f.value:f.valueEnd:f.valueEnd], true
		}
	}
	return nil, false
}

// Get is the first value of a key, empty where there is none.
func (m *Message) Get(key string) string {
	value, _ := m.Lookup(key)
	return string(value)
}

// Is says whether the first value of a key is want.
func (m *Message) Is(key, want string) bool {
	value, ok := m.Lookup(key)
	return ok && string(value) == want
}

// Values are all values of a key, in order.
func (m *Message) Values(key string) (values []string) {
	for k, v := range m.All {
		if strings.EqualFold(k, key) {
			values = append(values, v)
		}
	}
	return values
}

// All goes through the fields in order.
func (m *Message) All(yield func(key, value string) bool) {
	for _, f := range m.fields {
		if !yield(string(m.text[f.key:f.keyEnd]), string(m.text[f.value:f.valueEnd])) {
			return
		}
	}
}

// clone is a message that stays.
func (m *Message) clone() *Message {
	return &Message{text: slices.Clone(m.text), fields: slices.Clone(m.fields)}
}

// reader takes a server's words apart. net/textproto is not used for it: its lines have no bound, its headers are
// a map for each message, and a line without a colon ends the connection.
type reader struct {
	buffered *bufio.Reader
	message  Message
}

func newReader(r io.Reader) *reader {
	return &reader{buffered: bufio.NewReaderSize(r, 16<<10)}
}

// read is the next message, valid until the next call. An empty line ends a message; further ones are skipped.
func (r *reader) read() (*Message, error) {
	m := &r.message
	m.text, m.fields = m.text[:0], m.fields[:0]
	for began := false; ; {
		start := len(m.text)
		whole, err := r.line()
		if err != nil {
			if began && errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return nil, err
		}
		line := m.text[start:]
		if whole && len(line) == 0 {
			if began {
				return m, nil
			}
			continue
		}
		began = true
		colon := bytes.IndexByte(line, ':')
		if !whole || colon <= 0 || len(m.fields) == maxFields || len(m.text) > maxMessage {
			m.text = m.text[:start]
			continue
		}
		f := span{key: start, keyEnd: start + colon, value: start + colon + 1, valueEnd: len(m.text)}
		if f.value < f.valueEnd && m.text[f.value] == ' ' {
			f.value++
		}
		m.fields = append(m.fields, f)
	}
}

// line appends the next line to the message's text, without its end, and says whether it is all there: of a line that
// is too long nothing is kept. Only CR LF ends a line: a value may hold a lone LF.
func (r *reader) line() (whole bool, err error) {
	m := &r.message
	start, last := len(m.text), byte(0)
	whole = true
	for {
		chunk, err := r.buffered.ReadSlice('\n')
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return false, err
		}
		if len(chunk) > 1 {
			last = chunk[len(chunk)-2]
		}
		ended := err == nil && last == '\r'
		if whole {
			m.text = append(m.text, chunk...)
		}
		last = chunk[len(chunk)-1]
		if len(m.text)-start > maxLine {
			m.text, whole = m.text[:start], false
		}
		if ended {
			if whole {
				m.text = m.text[:len(m.text)-len("\r\n")]
			}
			return whole, nil
		}
	}
}
