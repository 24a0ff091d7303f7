package ami

import (
	"errors"
	"fmt"
	"strings"
)

// Failures that callers tell apart. Those of the network are net's own.
var (
	// ErrLogin is a server that does not know the username or the secret.
	ErrLogin = errors.New("the login was refused")
	// ErrDenied is an action that the account has no right to.
	ErrDenied = errors.New("permission denied")
	// ErrUnknownAction is an action that the server does not have: a module is not loaded.
	ErrUnknownAction = errors.New("the server does not know the action")
	// ErrNotAMI is a peer that is no Manager Interface.
	ErrNotAMI = errors.New("the peer is no Asterisk Manager Interface")
	// ErrTimeout is a server that did not answer in time.
	ErrTimeout = errors.New("no answer in time")
	// ErrIncomplete is a list that the server broke off, or that lacks items.
	ErrIncomplete = errors.New("the list is not complete")
	// ErrClosed is a connection that was closed on this side.
	ErrClosed = errors.New("the connection was closed")
)

// ResponseError is a server's no to an action.
type ResponseError struct {
	Action string
	// Message is the server's, without credentials.
	Message string
	kind    error
}

func (e *ResponseError) Error() string { return fmt.Sprintf("%s: %s", e.Action, e.Message) }

// Unwrap is ErrDenied or ErrUnknownAction where it is one of them.
func (e *ResponseError) Unwrap() error { return e.kind }

// newResponseError judges a no by the server's own words and shows them redacted.
func newResponseError(action, message string, redact func(string) string) *ResponseError {
	e := &ResponseError{Action: action, Message: redact(message)}
	switch {
	case message == "Permission denied":
		e.kind = ErrDenied
	case strings.HasPrefix(message, "Invalid/unknown command"):
		e.kind = ErrUnknownAction
	}
	return e
}
