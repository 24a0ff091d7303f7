package endpoint

import (
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// failure is an answer that is no success, told as Kubernetes does.
type failure struct {
	code    int
	reason  metav1.StatusReason
	message string
	// retryAfter says when asking again makes sense; 0 for nothing to say.
	retryAfter time.Duration
}

func (f *failure) status() *metav1.Status {
	s := status(metav1.StatusFailure, f.code, f.message)
	s.Reason = f.reason
	if f.retryAfter > 0 {
		s.Details = &metav1.StatusDetails{RetryAfterSeconds: f.retrySeconds()}
	}
	return s
}

// retrySeconds rounds up: who comes at that time is not early.
func (f *failure) retrySeconds() int32 {
	return int32((f.retryAfter + time.Second - 1) / time.Second)
}

func (f *failure) write(w http.ResponseWriter) {
	if f.retryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(f.retrySeconds())))
	}
	if f.code == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", "Bearer")
	}
	writeJSON(w, f.code, f.status())
}

func status(outcome string, code int, message string) *metav1.Status {
	return &metav1.Status{
		TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"},
		Status:   outcome, Code: int32(code), Message: message,
	}
}

func writeJSON(w http.ResponseWriter, code int, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(value) // who does not read it any more does not miss it
}

func badRequest(message string) *failure {
	return &failure{code: http.StatusBadRequest, reason: metav1.StatusReasonBadRequest, message: message}
}

func notFound(message string) *failure {
	return &failure{code: http.StatusNotFound, reason: metav1.StatusReasonNotFound, message: message}
}

func conflict(message string) *failure {
	return &failure{code: http.StatusConflict, reason: metav1.StatusReasonConflict, message: message}
}

func forbidden(message string) *failure {
	return &failure{code: http.StatusForbidden, reason: metav1.StatusReasonForbidden, message: message}
}

func unauthorized(message string) *failure {
	return &failure{code: http.StatusUnauthorized, reason: metav1.StatusReasonUnauthorized, message: message}
}

func tooMany(message string, retryAfter time.Duration) *failure {
	return &failure{
		code: http.StatusTooManyRequests, reason: metav1.StatusReasonTooManyRequests,
		message: message, retryAfter: retryAfter,
	}
}

func unavailable(message string) *failure {
	return &failure{
		code: http.StatusServiceUnavailable, reason: metav1.StatusReasonServiceUnavailable,
		message: message, retryAfter: time.Second,
	}
}
