package telephony

import (
	"errors"
	"fmt"
)

// Kind tells failures of a telephone system apart by what is to be done about them.
type Kind int

const (
	// Unreachable is a system that does not answer: wait, it comes back by itself.
	Unreachable Kind = iota + 1
	// Conflict is a name or row that belongs to somebody else: a human must decide.
	Conflict
	// Refused is a system that answers and says no, such as a column that is missing or a right not granted:
	// a human must mend it.
	Refused
)

func (k Kind) String() string {
	switch k {
	case Unreachable:
		return "Unreachable"
	case Conflict:
		return "Conflict"
	case Refused:
		return "Refused"
	}
	return fmt.Sprintf("Kind(%d)", int(k))
}

// ErrCredentialsNeeded is the cause of a Refused error that giving the password (or the mailbox's PIN) mends:
// the phone's rows are to be made, and Agent.Password or Agent.PIN was nil.
var ErrCredentialsNeeded = errors.New("credentials needed")

// Error is a failure of a telephone system. Its text is stable, because it lands in status, and holds no secret.
type Error struct {
	Kind    Kind
	Message string
	// Err is the cause, for logs; it may vary from time to time.
	Err error
}

func (e *Error) Error() string { return e.Message }

func (e *Error) Unwrap() error { return e.Err }

// Errorf makes an Error of a kind. The message must not vary while its cause stays.
func Errorf(kind Kind, cause error, format string, args ...any) *Error {
	return &Error{Kind: kind, Message: fmt.Sprintf(format, args...), Err: cause}
}

// KindOf is the kind of err, or 0 where it is none of this package's.
func KindOf(err error) Kind {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return 0
}
