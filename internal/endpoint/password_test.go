package endpoint

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr/funcr"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"roster.dev/roster/api/v1alpha1"
)

const (
	oldPassword = "old-Passw0rd-1"
	newPassword = "new-Passw0rd-2"
)

func passwordPath(agent string) string {
	return "/v1alpha1/namespaces/acme/agents/" + agent + "/password"
}

func body(current, next string) string { return fmt.Sprintf(`{"current":%q,"new":%q}`, current, next) }

func strictCenter() *v1alpha1.ContactCenter {
	return &v1alpha1.ContactCenter{
		ObjectMeta: metav1.ObjectMeta{Namespace: "acme", Name: "default"},
		Spec: v1alpha1.ContactCenterSpec{PasswordPolicy: &v1alpha1.PasswordPolicy{
			MinimumLength: ptr.To[int32](12), Require: []v1alpha1.CharacterClass{v1alpha1.ClassDigit},
		}},
	}
}

func (r *rig) stored(agent string) string {
	s := &corev1.Secret{}
	r.Expect(r.api.Get(r.Context(), client.ObjectKey{Namespace: "acme", Name: agent + "-sip"}, s)).To(Succeed())
	return string(s.Data["password"])
}

func TestPasswordS3(t *testing.T) {
	var mu sync.Mutex
	var logged strings.Builder
	r := newRig(t, func(o *Options) {
		o.Log = funcr.New(func(prefix, args string) {
			mu.Lock()
			defer mu.Unlock()
			logged.WriteString(prefix + args + "\n")
		}, funcr.Options{Verbosity: 9})
	}, member("alice"), made(member("alice"), oldPassword), strictCenter())
	r.desk.allow("alice-token", mayChange("alice"))
	try := func(current, next string) (int, string) {
		code, text := r.do(http.MethodPost, passwordPath("alice"), "alice-token", body(current, next))
		return code, statusOf(r.GomegaWithT, text).Message
	}
	code, message := try("wrong-Passw0rd", newPassword)
	r.Expect(code).To(Equal(http.StatusForbidden))
	r.Expect(message).To(ContainSubstring("administrator"))
	code, message = try(oldPassword, "short1")
	r.Expect(code).To(Equal(http.StatusUnprocessableEntity))
	r.Expect(message).To(ContainSubstring("it is shorter than 12 characters"))
	code, _ = try(oldPassword, "without-a-number")
	r.Expect(code).To(Equal(http.StatusUnprocessableEntity))
	code, _ = try(oldPassword, oldPassword)
	r.Expect(code).To(Equal(http.StatusUnprocessableEntity))
	r.Expect(r.stored("alice")).To(Equal(oldPassword))
	r.Expect(r.events.Events).To(BeEmpty())

	code, message = try(oldPassword, newPassword)
	r.Expect(code).To(Equal(http.StatusOK), message)
	r.Expect(message).To(ContainSubstring("alice-sip"))
	r.Expect(r.stored("alice")).To(Equal(newPassword))
	told := <-r.events.Events
	r.Expect(told).To(And(ContainSubstring("PasswordChanged"), ContainSubstring("alice-token")))
	code, _ = try(oldPassword, "third-Passw0rd-3")
	r.Expect(code).To(Equal(http.StatusForbidden), "the old password is none any more")

	r.do(http.MethodPost, passwordPath("alice"), "alice-token", `{"current": "`+oldPassword+`", "bad`)
	mu.Lock()
	defer mu.Unlock()
	r.Expect(logged.String()).NotTo(BeEmpty())
	for _, secret := range []string{"Passw0rd", "alice-token", "short1", "without-a-number"} {
		r.Expect(logged.String()).NotTo(ContainSubstring(secret))
		if secret != "alice-token" {
			r.Expect(told).NotTo(ContainSubstring(secret))
		}
	}
}

func TestPasswordRefusals(t *testing.T) {
	own := func(name string) *v1alpha1.Agent {
		a := member(name)
		a.Spec.Endpoint = &v1alpha1.Endpoint{PasswordSecretRef: &v1alpha1.SecretKeyReference{Name: name + "-in-git", Key: "password"}}
		return a
	}
	out := member("gone")
	out.Spec.State = v1alpha1.StateDeactivated
	leaving := member("ended")
	leaving.Status.Phase = v1alpha1.PhaseDeactivated
	former := made(member("former"), oldPassword)
	former.OwnerReferences[0].UID = "uid-0"
	foreign := made(member("foreign"), oldPassword)
	foreign.Labels, foreign.OwnerReferences = nil, nil
	fixed := made(member("fixed"), oldPassword)
	fixed.Immutable = ptr.To(true)
	empty := made(member("empty"), "")
	r := newRig(t, nil, own("git"), out, made(out, oldPassword), leaving, made(leaving, oldPassword), member("former"), former,
		member("foreign"), foreign, member("fixed"), fixed, member("empty"), empty, member("none"),
		member("alice"), made(member("alice"), oldPassword))
	r.desk.allow("carla", mayChange(""))
	for _, c := range []struct {
		name, agent, token, body string
		code                     int
		message                  string
	}{
		{"no token", "alice", "", body(oldPassword, newPassword), 401, "token"},
		{"no right", "alice", "stranger", body(oldPassword, newPassword), 401, "not valid"},
		{"unknown, without a right", "nobody", "stranger", body(oldPassword, newPassword), 401, "not valid"},
		{"unknown", "nobody", "carla", body(oldPassword, newPassword), 404, "no agent nobody"},
		{"declared in Git", "git", "carla", body(oldPassword, newPassword), 409, "git-in-git"},
		{"deactivated", "gone", "carla", body(oldPassword, newPassword), 409, "deactivated"},
		{"employment ended", "ended", "carla", body(oldPassword, newPassword), 409, "deactivated"},
		{"of a former holder of the name", "former", "carla", body(oldPassword, newPassword), 409, "former-sip was not made"},
		{"of somebody else's", "foreign", "carla", body(oldPassword, newPassword), 409, "foreign-sip was not made"},
		{"immutable", "fixed", "carla", body(oldPassword, newPassword), 409, "immutable"},
		{"empty", "empty", "carla", body(oldPassword, newPassword), 409, "has no password"},
		{"not made yet", "none", "carla", body(oldPassword, newPassword), 409, "still to make Secret none-sip"},
		{"without current", "alice", "carla", `{"new": "x"}`, 400, "send {"},
		{"with more", "alice", "carla", `{"current": "a", "new": "b", "force": true}`, 400, "send {"},
		{"twice", "alice", "carla", body("a", "b") + body("a", "b"), 400, "send {"},
		{"too large", "alice", "carla", body(strings.Repeat("x", maximumBody), "b"), 413, "bytes"},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := NewWithT(t)
			code, text := r.do(http.MethodPost, passwordPath(c.agent), c.token, c.body)
			g.Expect(code).To(Equal(c.code), text)
			g.Expect(text).To(ContainSubstring(c.message))
			g.Expect(text).NotTo(ContainSubstring(oldPassword))
		})
	}
	r.Expect(r.stored("alice")).To(Equal(oldPassword))
}

func TestPasswordConflict(t *testing.T) {
	r := newRig(t, nil, member("alice"), made(member("alice"), oldPassword))
	r.desk.allow("alice", mayChange("alice"))
	for cause, code := range map[error]int{
		apierrors.NewConflict(schema.GroupResource{Resource: "secrets"}, "alice-sip", nil): http.StatusConflict,
		apierrors.NewInternalError(fmt.Errorf("echo of %s", newPassword)):                  http.StatusServiceUnavailable,
	} {
		r.beforeUpdate = func() error { return cause }
		got, text := r.do(http.MethodPost, passwordPath("alice"), "alice", body(oldPassword, newPassword))
		r.Expect(got).To(Equal(code))
		r.Expect(text).To(And(ContainSubstring("try again"), Not(ContainSubstring(newPassword))))
	}
	r.beforeUpdate = func() error { // somebody else is quicker
		r.beforeUpdate = nil
		return r.api.Update(r.Context(), made(member("alice"), "their-Passw0rd"))
	}
	got, text := r.do(http.MethodPost, passwordPath("alice"), "alice", body(oldPassword, newPassword))
	r.Expect(got).To(Equal(http.StatusConflict), text)
	r.Expect(r.stored("alice")).To(Equal("their-Passw0rd"))
}

func TestPasswordAttemptsAreLimited(t *testing.T) {
	objects := []client.Object{member("alice"), made(member("alice"), oldPassword)}
	for i := range 10 {
		a := member(fmt.Sprintf("a%d", i))
		objects = append(objects, a, made(a, oldPassword))
	}
	r := newRig(t, nil, objects...)
	r.desk.allow("alice", mayChange("alice"))
	r.desk.allow("portal", mayChange(""))
	for range 20 { // what says nothing about a password may be tried for ever
		code, _ := r.do(http.MethodPost, passwordPath("alice"), "alice", body(oldPassword, oldPassword))
		r.Expect(code).To(Equal(http.StatusUnprocessableEntity))
	}
	var tried sync.WaitGroup
	var mu sync.Mutex
	codes := map[int]int{}
	for i := range 20 {
		tried.Go(func() {
			code, _ := r.do(http.MethodPost, passwordPath("alice"), "alice", body(fmt.Sprintf("guess-%d", i), newPassword))
			mu.Lock()
			defer mu.Unlock()
			codes[code]++
		})
	}
	tried.Wait()
	r.Expect(codes).To(Equal(map[int]int{http.StatusForbidden: attemptsByAgent, http.StatusTooManyRequests: 20 - attemptsByAgent}))
	response := r.send(t.Context(), http.MethodPost, passwordPath("alice"), "portal", body(oldPassword, newPassword))
	defer response.Body.Close()
	r.Expect(response.StatusCode).To(Equal(http.StatusTooManyRequests), "another caller has no more attempts for this person")
	r.Expect(response.Header.Get("Retry-After")).To(BeElementOf("58", "59", "60"))
	r.later(attemptEvery + time.Second)
	code, text := r.do(http.MethodPost, passwordPath("alice"), "alice", body(oldPassword, newPassword))
	r.Expect(code).To(Equal(http.StatusOK), text)

	for i := range attemptsByCaller + 1 {
		code, _ := r.do(http.MethodPost, passwordPath(fmt.Sprintf("a%d", i%10)), "portal", body("guess", newPassword))
		expected := http.StatusForbidden
		if i == attemptsByCaller {
			expected = http.StatusTooManyRequests
		}
		r.Expect(code).To(Equal(expected), "attempt %d", i)
	}
}
