package telephony

import (
	"reflect"
	"testing"
	"time"
)

func agent() *Agent {
	return &Agent{Name: "alice", Settings: &Settings{Context: "acme", Template: map[string]string{"a": "b"}},
		Memberships: []Membership{{Queue: "support", Channels: []string{"Voice"}, Via: []string{"Direct"}}},
		Revoked:     []Revocation{{Kind: "Team", Name: "billing"}}}
}

// fill gives a field another value.
func fill(v reflect.Value) {
	switch v.Kind() {
	case reflect.String:
		v.SetString(v.String() + "x")
	case reflect.Int:
		v.SetInt(v.Int() + 1)
	case reflect.Bool:
		v.SetBool(!v.Bool())
	case reflect.Slice:
		v.Set(reflect.Append(v, reflect.Zero(v.Type().Elem())))
	case reflect.Map:
		v.Set(reflect.ValueOf(map[string]string{"a": "c"}))
	}
	if v.Type() == reflect.TypeFor[time.Time]() {
		v.Set(reflect.ValueOf(time.Unix(1, 0)))
	}
}

// Every field that reaches the telephone system is in the fingerprint, and no other.
func TestFingerprintFields(t *testing.T) {
	left := map[string]bool{"Settings": true, "Password": true, "PIN": true, "ReuseName": true, "Adopt": true, "Orders": true,
		"OwnPauses": true}
	check := func(name string, change func(a *Agent) reflect.Value) {
		t.Helper()
		a := agent()
		fill(change(a))
		if changed := a.Fingerprint() != agent().Fingerprint(); changed == left[name] {
			t.Errorf("%s: changed %v", name, changed)
		}
	}
	fields := func(of any, get func(a *Agent) reflect.Value) {
		t.Helper()
		for i := range reflect.TypeOf(of).NumField() {
			f := reflect.TypeOf(of).Field(i)
			if f.Type.Kind() == reflect.Struct && f.Anonymous {
				continue
			}
			check(f.Name, func(a *Agent) reflect.Value { return get(a).Field(i) })
		}
	}
	fields(Agent{}, func(a *Agent) reflect.Value { return reflect.ValueOf(a).Elem() })
	fields(Deactivation{}, func(a *Agent) reflect.Value { return reflect.ValueOf(&a.Deactivation).Elem() })
	fields(Settings{}, func(a *Agent) reflect.Value { return reflect.ValueOf(a.Settings).Elem() })
	fields(Membership{}, func(a *Agent) reflect.Value { return reflect.ValueOf(&a.Memberships[0]).Elem() })
	fields(Revocation{}, func(a *Agent) reflect.Value { return reflect.ValueOf(&a.Revoked[0]).Elem() })
}

func TestFingerprintQueueFields(t *testing.T) {
	for i := range reflect.TypeFor[Queue]().NumField() {
		q := &Queue{Name: "support"}
		f := reflect.TypeFor[Queue]().Field(i)
		if f.Name == "Settings" {
			continue
		}
		fill(reflect.ValueOf(q).Elem().Field(i))
		if q.Fingerprint() == (&Queue{Name: "support"}).Fingerprint() {
			t.Errorf("%s is not in the fingerprint", f.Name)
		}
	}
}

// Values that lie side by side do not run into each other.
func TestFingerprintBounds(t *testing.T) {
	a, b := agent(), agent()
	a.Role, a.Phase = "ab", "c"
	b.Role, b.Phase = "a", "bc"
	if a.Fingerprint() == b.Fingerprint() {
		t.Error("two persons, one fingerprint")
	}
}
