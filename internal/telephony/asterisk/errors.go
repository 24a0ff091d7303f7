package asterisk

import (
	"context"
	"errors"
	"os"
	"strings"

	"roster.dev/roster/internal/telephony"
)

var (
	errNotLoaded = telephony.Errorf(telephony.Unreachable, nil, "the database has not been loaded")
	errClosed    = telephony.Errorf(telephony.Unreachable, nil, "the connection to the database was closed")
	errReadOnly  = telephony.Errorf(telephony.Refused, nil, "the database was opened for reading only")
)

// explain makes an error of the database one of the port's. Its text, stable, goes to status; the cause that
// it wraps holds no more than the text, because drivers put rows into theirs.
func explain(d dialect, err error) error {
	var known *telephony.Error
	if err == nil || errors.As(err, &known) {
		return err
	}
	v := d.judge(err)
	if v.unreachable {
		return telephony.Errorf(telephony.Unreachable, nil, "%s cannot be reached: %s", d, v.text)
	}
	return telephony.Errorf(telephony.Refused, nil, "%s refused: %s", d, v.text)
}

// isTimeout says whether err is time that ran out.
func isTimeout(err error) bool {
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) || errors.Is(err, os.ErrDeadlineExceeded)
}

// plain is a text for an error that no database made.
func plain(err error) string {
	if isTimeout(err) {
		return "no answer in time"
	}
	return err.Error()
}

// conceal takes what must not be seen out of a message that quotes the database.
func conceal(err error, secrets ...*string) error {
	var e *telephony.Error
	if !errors.As(err, &e) {
		return err
	}
	message := e.Message
	for _, s := range secrets {
		if s != nil && *s != "" {
			message = strings.ReplaceAll(message, *s, "…")
		}
	}
	if message == e.Message {
		return err
	}
	return telephony.Errorf(e.Kind, e.Err, "%s", message)
}
