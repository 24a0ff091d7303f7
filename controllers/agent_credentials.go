package controllers

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"sort"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"roster.dev/roster/api/v1alpha1"
	"roster.dev/roster/internal/roster"
)

// credentials are a phone's password and a mailbox's PIN.
type credentials struct {
	// phone says that the phone's rows may be: there is a password, here or already there.
	phone bool
	// password and pin are nil where what is there stays.
	password, pin *string
	// pinVersion names the PIN's part of versions.
	pinVersion string
	// versions of the Secrets they came from, and of the policy they were checked against.
	versions string
	// problem is why they cannot be used; the one applied before goes on.
	problem verdict
	// rejected says that the problem is the password or PIN itself.
	rejected bool
}

const passwordKey = roster.PasswordKey

// secretUse is one value that comes from a Secret.
type secretUse struct {
	v1alpha1.SecretKeyReference
	// generated is a Secret that Roster makes itself.
	generated bool
}

// version names the value in one version of the Secret.
func (u secretUse) version(version string) string {
	return fmt.Sprintf("%s/%s@%s", u.Name, u.Key, version)
}

func (s *agentScope) passwordUse() secretUse {
	if e := s.agent.Spec.Endpoint; e != nil && e.PasswordSecretRef != nil {
		return secretUse{SecretKeyReference: *e.PasswordSecretRef}
	}
	return secretUse{v1alpha1.SecretKeyReference{Name: roster.GeneratedSecret(s.agent.Name), Key: passwordKey}, true}
}

func (s *agentScope) pinUse() *secretUse {
	if e := s.agent.Spec.Endpoint; e != nil && e.Voicemail != nil {
		return &secretUse{SecretKeyReference: e.Voicemail.PINSecretRef}
	}
	return nil
}

// ensureCredentials finds out whether the Secrets are those applied already, and reads them only where they are not.
func (s *agentScope) ensureCredentials(ctx context.Context) error {
	out := s.effective.Phase == v1alpha1.PhaseDeactivated
	if _, ok := s.writable(); !ok || out && !s.suspect {
		// Nothing is read for somebody who is refused, or where nothing can be written; the old password stays.
		s.credentials = credentials{phone: s.record.HasPhone || !ok, versions: s.record.CredentialVersions}
		return nil
	}
	if s.registered && s.record.HasPhone && !s.suspect {
		versions, err := s.cachedVersions(ctx)
		if err != nil {
			return err
		}
		if versions == s.record.CredentialVersions {
			s.credentials = credentials{phone: true, versions: versions}
			return nil
		}
	}
	before := s.verdict
	err := s.readCredentials(ctx)
	if out { // whose Secrets may be gone, which is nobody's problem
		s.verdict, s.credentials.problem = before, verdict{}
	}
	s.keepPIN()
	return err
}

// keepPIN leaves the PIN of a mailbox alone unless its own Secret changed: it may have been changed by phone.
func (s *agentScope) keepPIN() {
	if s.registered && slices.Contains(strings.Split(s.record.CredentialVersions, ";"), s.credentials.pinVersion) {
		s.credentials.pin = nil
	}
}

// cachedVersions are the versions of the person's Secrets as the cache has them; empty where one is missing.
func (s *agentScope) cachedVersions(ctx context.Context) (string, error) {
	uses := []secretUse{s.passwordUse()}
	if pin := s.pinUse(); pin != nil {
		uses = append(uses, *pin)
	}
	versions := make([]string, len(uses))
	for i, use := range uses {
		m := secretMetadata()
		err := s.Get(ctx, types.NamespacedName{Namespace: s.agent.Namespace, Name: use.Name}, m)
		if apierrors.IsNotFound(err) {
			return "", nil
		}
		if err != nil {
			return "", err
		}
		if use.generated && !roster.MadeFor(m, s.agent) {
			return "", nil
		}
		versions[i] = m.ResourceVersion
	}
	return s.versionText(uses, versions), nil
}

// versionText names the versions of values, and the policy they meet.
func (s *agentScope) versionText(uses []secretUse, versions []string) string {
	parts := make([]string, 0, 3)
	for i, use := range uses {
		parts = append(parts, use.version(versions[i]))
	}
	if p := s.site.passwordPolicy; p != nil {
		classes := toStrings(p.Require)
		sort.Strings(classes)
		length := int32(0)
		if p.MinimumLength != nil {
			length = *p.MinimumLength
		}
		parts = append(parts, fmt.Sprintf("%d%s", length, strings.Join(classes, "")))
	}
	return strings.Join(parts, ";")
}

// readCredentials reads the Secrets, making the one that Roster makes. What cannot be used is a verdict; the
// credentials applied before then go on.
func (s *agentScope) readCredentials(ctx context.Context) error {
	s.credentials = credentials{phone: s.record.HasPhone, versions: s.record.CredentialVersions}
	problem := func(v verdict, rejected bool) error {
		s.credentials.problem, s.credentials.rejected = v, rejected
		s.verdict = s.verdict.worse(v)
		return nil
	}
	use := s.passwordUse()
	secret, v, err := s.passwordSecret(ctx, use)
	if err != nil {
		return err
	}
	if !v.ready() {
		return problem(v, false)
	}
	password, v := secretValue(secret, use)
	if !v.ready() {
		return problem(v, false)
	}
	if err := roster.CheckPassword(s.site.passwordPolicy, password); err != nil {
		return problem(stalled(reasonPolicyViolation,
			fmt.Sprintf("the password in Secret %s, key %s: %v", use.Name, use.Key, err)), true)
	}
	uses, versions := []secretUse{use}, []string{secret.ResourceVersion}

	var pin *string
	var pinVersion string
	if use := s.pinUse(); use != nil {
		if use.Name != secret.Name {
			if secret, v, err = s.secret(ctx, use.Name); err != nil {
				return err
			}
			if !v.ready() {
				return problem(v, false)
			}
		}
		value, v := secretValue(secret, *use)
		if !v.ready() {
			return problem(v, false)
		}
		if err := roster.CheckPIN(value); err != nil {
			return problem(stalled(reasonPolicyViolation,
				fmt.Sprintf("the PIN in Secret %s, key %s: %v", use.Name, use.Key, err)), true)
		}
		pin, uses, versions = &value, append(uses, *use), append(versions, secret.ResourceVersion)
		pinVersion = use.version(secret.ResourceVersion)
	}
	s.credentials = credentials{
		phone: true, password: &password, pin: pin, pinVersion: pinVersion, versions: s.versionText(uses, versions),
	}
	return nil
}

func secretValue(secret *corev1.Secret, use secretUse) (string, verdict) {
	value, ok := secret.Data[use.Key]
	if !ok || len(value) == 0 {
		return "", stalled(reasonBadSecret, fmt.Sprintf("Secret %s has no value under key %s: add it", use.Name, use.Key))
	}
	return string(value), verdict{}
}

// secret reads a Secret past the cache, which holds no data.
func (s *agentScope) secret(ctx context.Context, name string) (*corev1.Secret, verdict, error) {
	secret := &corev1.Secret{}
	err := s.live.Get(ctx, types.NamespacedName{Namespace: s.agent.Namespace, Name: name}, secret)
	switch {
	case apierrors.IsNotFound(err):
		return nil, reconciling(reasonMissingReference, fmt.Sprintf("Secret %s does not exist: create it", name)), nil
	case apierrors.IsForbidden(err):
		return nil, stalled(reasonBadSecret, fmt.Sprintf("Roster may not read Secret %s: allow it in RBAC", name)), nil
	case err != nil:
		return nil, verdict{}, err
	}
	return secret, verdict{}, nil
}

// passwordSecret is the Secret that holds the password; the generated one is made where it is missing.
func (s *agentScope) passwordSecret(ctx context.Context, use secretUse) (*corev1.Secret, verdict, error) {
	if !use.generated {
		return s.secret(ctx, use.Name)
	}
	m := secretMetadata()
	err := s.Get(ctx, types.NamespacedName{Namespace: s.agent.Namespace, Name: use.Name}, m)
	if apierrors.IsNotFound(err) {
		secret, err := s.makeSecret(ctx, use)
		if !apierrors.IsAlreadyExists(err) {
			if apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause) {
				return nil, reconciling(reasonMissingReference, "the namespace is being deleted: no Secret is made in it"), nil
			}
			return secret, verdict{}, err
		}
	} else if err != nil {
		return nil, verdict{}, err
	}
	secret, v, err := s.secret(ctx, use.Name)
	switch {
	case err != nil || !v.ready():
		return nil, v, err
	case roster.MadeFor(secret, s.agent):
		return secret, verdict{}, nil
	case secret.Labels[v1alpha1.LabelAgent] == s.agent.Name && len(secret.OwnerReferences) > 0:
		// It was made for a former person of this name, who is gone; the new one gets a password of their own.
		err := s.Delete(ctx, secret, client.Preconditions{UID: &secret.UID}, unwatched)
		if err != nil {
			return nil, verdict{}, client.IgnoreNotFound(err)
		}
		return nil, reconciling(reasonMissingReference, fmt.Sprintf("Secret %s of the former holder of the name is being replaced", use.Name)), nil
	}
	return nil, stalled(reasonBadSecret, fmt.Sprintf(
		"Secret %s exists and Roster did not make it: name it in spec.endpoint.passwordSecretRef, or delete it", use.Name)), nil
}

func (s *agentScope) makeSecret(ctx context.Context, use secretUse) (*corev1.Secret, error) {
	password, err := roster.NewPassword(s.site.passwordPolicy, rand.Reader)
	if err != nil {
		return nil, err
	}
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: s.agent.Namespace, Name: use.Name,
			Labels: map[string]string{v1alpha1.LabelAgent: s.agent.Name},
		},
		Data: map[string][]byte{use.Key: []byte(password)},
	}
	if err := controllerutil.SetControllerReference(s.agent, secret, s.Scheme()); err != nil {
		return nil, err
	}
	if err := s.Create(ctx, secret, unwatched); err != nil {
		return nil, err
	}
	return secret, nil
}
