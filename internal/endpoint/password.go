package endpoint

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"roster.dev/roster/api/v1alpha1"
	"roster.dev/roster/internal/roster"
)

// +kubebuilder:rbac:groups="",resources=secrets,verbs=get;update
// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create;patch

// passwordChange is the body of a change of password. It is never logged.
type passwordChange struct {
	Current string `json:"current"`
	New     string `json:"new"`
}

// password changes a person's phone password for whoever knows the current one.
func (s *Server) password(w http.ResponseWriter, r *http.Request) *failure {
	token, f := bearer(r)
	if f != nil {
		return f
	}
	key := types.NamespacedName{Namespace: r.PathValue("namespace"), Name: r.PathValue("agent")}
	user, f := s.access.check(r.Context(), token,
		Demand{Namespace: key.Namespace, Verb: "update", Subresource: "password", Agent: key.Name})
	if f != nil {
		return f
	}
	change, f := readChange(w, r)
	if f != nil {
		return f
	}
	if f := s.attempt(r.Context(), key, user, change); f != nil {
		return f
	}
	writeJSON(w, http.StatusOK, status(metav1.StatusSuccess, http.StatusOK, fmt.Sprintf(
		"the password is changed in Secret %s; the phone needs it as soon as the telephone system has it, which takes about a second",
		roster.GeneratedSecret(key.Name))))
	return nil
}

func readChange(w http.ResponseWriter, r *http.Request) (*passwordChange, *failure) {
	if kind := r.Header.Get("Content-Type"); kind != "" {
		if media, _, err := mime.ParseMediaType(kind); err != nil || media != "application/json" {
			return nil, &failure{
				code: http.StatusUnsupportedMediaType, reason: metav1.StatusReasonUnsupportedMediaType,
				message: "send Content-Type: application/json",
			}
		}
	}
	decoder := json.NewDecoder(http.MaxBytesReader(w, r.Body, maximumBody))
	decoder.DisallowUnknownFields()
	change := &passwordChange{}
	err := decoder.Decode(change)
	if err == nil {
		if _, more := decoder.Token(); !errors.Is(more, io.EOF) {
			err = errors.New("more than one value")
		}
	}
	if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
		return nil, &failure{
			code: http.StatusRequestEntityTooLarge, reason: metav1.StatusReasonRequestEntityTooLarge,
			message: fmt.Sprintf("send at most %d bytes", maximumBody),
		}
	}
	if err != nil || change.Current == "" || change.New == "" {
		// What the decoder says may quote what was sent.
		return nil, badRequest(`send {"current": "<password>", "new": "<password>"}`)
	}
	return change, nil
}

// attempt changes a password, unless it was tried too often.
func (s *Server) attempt(ctx context.Context, key types.NamespacedName, user User, change *passwordChange) *failure {
	agentKey, callerKey := key.String(), user.Username
	wait := s.byAgent.take(agentKey)
	if wait == 0 {
		if wait = s.byCaller.take(callerKey); wait > 0 {
			s.byAgent.giveBack(agentKey)
		}
	}
	if wait > 0 {
		return tooMany("too many attempts to change this password: wait", wait)
	}
	counts, f := s.changePassword(ctx, key, user, change)
	if !counts {
		s.byAgent.giveBack(agentKey)
		s.byCaller.giveBack(callerKey)
	}
	return f
}

// changePassword says whether the attempt counts: a wrong one does, and one that was carried out.
func (s *Server) changePassword(
	ctx context.Context, key types.NamespacedName, user User, change *passwordChange,
) (counts bool, f *failure) {
	agent, policy, f := s.person(ctx, key)
	if f != nil {
		return false, f
	}
	secret, f := s.generatedSecret(ctx, agent)
	if f != nil {
		return false, f
	}
	if !same(string(secret.Data[roster.PasswordKey]), change.Current) {
		return true, forbidden("the current password is another one. Who does not know it asks an administrator, " +
			"who edits or deletes Secret " + secret.Name)
	}
	err := roster.CheckPassword(policy, change.New)
	if err == nil && same(change.Current, change.New) {
		err = errors.New("the new password is the current one")
	}
	if err != nil {
		return false, &failure{
			code: http.StatusUnprocessableEntity, reason: metav1.StatusReasonInvalid, message: err.Error(),
		}
	}
	secret.Data[roster.PasswordKey] = []byte(change.New)
	if err := s.options.Client.Update(ctx, secret, client.DisableReadYourWritesConsistency); err != nil {
		return false, s.failed(err, "changing the Secret")
	}
	s.options.Recorder.Eventf(agent, nil, corev1.EventTypeNormal, "PasswordChanged", "ChangePassword",
		"%s changed the phone's password", user.Username)
	return true, nil
}

// person is who a password is for, and the rules that it is under.
func (s *Server) person(ctx context.Context, key types.NamespacedName) (*v1alpha1.Agent, *v1alpha1.PasswordPolicy, *failure) {
	agent := &v1alpha1.Agent{}
	if err := s.options.Client.Get(ctx, key, agent); apierrors.IsNotFound(err) {
		return nil, nil, notFound("there is no agent " + key.Name)
	} else if err != nil {
		return nil, nil, s.failed(err, "reading the Agent")
	}
	if agent.Spec.State == v1alpha1.StateDeactivated || !agent.DeletionTimestamp.IsZero() || roster.Out(agent.Status.Phase) {
		return nil, nil, conflict(key.Name + " is deactivated: the password stays as it is until they are back")
	}
	if e := agent.Spec.Endpoint; e != nil && e.PasswordSecretRef != nil {
		return nil, nil, conflict(fmt.Sprintf("the password is in Secret %s, which %s names in spec.endpoint.passwordSecretRef: "+
			"change it there, in Git where that keeps it", e.PasswordSecretRef.Name, key.Name))
	}
	center := &v1alpha1.ContactCenter{}
	err := s.options.Client.Get(ctx, types.NamespacedName{Namespace: key.Namespace, Name: v1alpha1.ContactCenterName}, center)
	if err != nil && !apierrors.IsNotFound(err) {
		return nil, nil, s.failed(err, "reading the ContactCenter")
	}
	return agent, center.Spec.PasswordPolicy, nil
}

// generatedSecret is the Secret that Roster made for a person, as it is now.
func (s *Server) generatedSecret(ctx context.Context, agent *v1alpha1.Agent) (*corev1.Secret, *failure) {
	name := roster.GeneratedSecret(agent.Name)
	secret := &corev1.Secret{}
	err := s.options.Live.Get(ctx, types.NamespacedName{Namespace: agent.Namespace, Name: name}, secret)
	switch {
	case apierrors.IsNotFound(err):
		return nil, conflict(fmt.Sprintf("there is no password yet: Roster has still to make Secret %s", name))
	case err != nil:
		return nil, s.failed(err, "reading the Secret")
	case !roster.MadeFor(secret, agent):
		return nil, conflict(fmt.Sprintf("Secret %s was not made by Roster: change it in Git, or where else its owner keeps it", name))
	case !secret.DeletionTimestamp.IsZero():
		return nil, conflict(fmt.Sprintf("Secret %s is being deleted: Roster makes another password", name))
	case ptr.Deref(secret.Immutable, false):
		return nil, conflict(fmt.Sprintf("Secret %s is immutable: an administrator deletes it, and Roster makes another", name))
	case len(secret.Data[roster.PasswordKey]) == 0:
		return nil, conflict(fmt.Sprintf("Secret %s has no password: an administrator deletes it, and Roster makes another", name))
	}
	return secret, nil
}

// failed is an answer to what the API server did not do. What it says of a Secret may hold parts of it.
func (s *Server) failed(err error, doing string) *failure {
	if apierrors.IsConflict(err) || apierrors.IsNotFound(err) {
		return conflict("the Secret was changed by somebody else meanwhile: try again")
	}
	s.options.Log.Info("a password was not changed", "doing", doing, "cause", cause(err))
	return unavailable("the API server did not do it: try again")
}

// same compares in a time that tells nothing of either.
func same(a, b string) bool {
	x, y := sha256.Sum256([]byte(a)), sha256.Sum256([]byte(b))
	return subtle.ConstantTimeCompare(x[:], y[:]) == 1
}
