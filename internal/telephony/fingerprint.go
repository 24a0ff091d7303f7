package telephony

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"hash"
	"maps"
	"slices"
	"time"
)

// Fingerprint is equal for two Agents exactly when applying the second after the first would change nothing.
// Passwords and PINs are in it by the versions of their Secrets only.
func (a *Agent) Fingerprint() string {
	w := newFingerprint()
	w.settings(a.Settings)
	w.strings(a.Name, a.UID, a.DisplayName, a.Email, a.EmployeeID, a.Role, a.Phase, a.Group, a.Color,
		a.Extension, a.Mailbox, a.CredentialVersions, a.PauseReason, a.SpyGroups, a.Monitors, a.Seat)
	w.ints(int(a.Access), flag(a.Phone), len(a.Memberships))
	for _, m := range a.Memberships {
		w.strings(m.Queue)
		w.list(m.Channels)
		w.list(m.Via)
		w.ints(m.Stars, m.Penalty, flag(m.Observed))
	}
	w.ints(len(a.Revoked))
	for _, r := range a.Revoked {
		w.strings(r.Kind, r.Name)
		w.times(r.Since)
	}
	w.times(a.RequestedAt, a.OfflineAt, a.CompletedAt)
	return w.sum()
}

// Fingerprint is equal for two Queues exactly when applying the second after the first would change nothing.
func (q *Queue) Fingerprint() string {
	w := newFingerprint()
	w.settings(q.Settings)
	w.strings(q.Name, q.Extension, q.Strategy)
	w.ints(flag(q.Voice), q.TimeoutSeconds, q.WrapUpSeconds, q.ServiceLevelSeconds, q.MaxCallers, int(q.Members))
	return w.sum()
}

// fingerprint writes values so that no two different lists of values write the same bytes.
type fingerprint struct {
	hash hash.Hash
	buf  []byte
}

// fingerprintVersion changes where what is recorded with a fingerprint does: what another version applied is
// applied once more.
const fingerprintVersion = 3

func newFingerprint() *fingerprint {
	w := &fingerprint{hash: sha256.New()}
	w.ints(fingerprintVersion)
	return w
}

func (w *fingerprint) strings(values ...string) {
	for _, v := range values {
		w.buf = binary.AppendUvarint(w.buf, uint64(len(v)))
		w.buf = append(w.buf, v...)
	}
}

func (w *fingerprint) ints(values ...int) {
	for _, v := range values {
		w.buf = binary.AppendVarint(w.buf, int64(v))
	}
}

func (w *fingerprint) times(values ...time.Time) {
	for _, v := range values {
		w.buf = binary.AppendVarint(w.buf, v.Unix())
	}
}

func (w *fingerprint) list(values []string) {
	w.ints(len(values))
	w.strings(values...)
}

func (w *fingerprint) settings(s *Settings) {
	if s == nil {
		s = &Settings{}
	}
	w.strings(s.Context)
	w.ints(len(s.Template))
	for _, k := range slices.Sorted(maps.Keys(s.Template)) {
		w.strings(k, s.Template[k])
	}
	w.list(s.ContactsTables)
}

func (w *fingerprint) sum() string {
	w.hash.Write(w.buf)
	return base64.RawStdEncoding.EncodeToString(w.hash.Sum(nil)[:15])
}

func flag(b bool) int {
	if b {
		return 1
	}
	return 0
}
