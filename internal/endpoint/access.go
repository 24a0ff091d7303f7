package endpoint

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/go-logr/logr"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"roster.dev/roster/api/v1alpha1"
)

// +kubebuilder:rbac:groups=authentication.k8s.io,resources=tokenreviews,verbs=create
// +kubebuilder:rbac:groups=authorization.k8s.io,resources=subjectaccessreviews,verbs=create

const (
	// decisionLife is how long a review's outcome is used again, and so how long a right that was taken lasts on.
	decisionLife = 10 * time.Second
	// maximumDecisions is how many outcomes are kept.
	maximumDecisions = 4096
	// maximumReviews is how many reviews may be under way: strangers must not flood the API server through this door.
	maximumReviews = 32
	reviewTimeout  = 10 * time.Second
	maximumToken   = 32 << 10
)

// Demand is what somebody wants to do with subresources of Agents.
type Demand struct {
	Namespace, Verb, Subresource string
	// Agent is empty for all of the namespace.
	Agent string
}

// String is the demand as an administrator writes it into a role.
func (d Demand) String() string {
	text := fmt.Sprintf("%s agents/%s in namespace %s", d.Verb, d.Subresource, d.Namespace)
	if d.Agent != "" {
		text += " for " + d.Agent
	}
	return text
}

// User is who holds a token.
type User = authenticationv1.UserInfo

// errUnauthenticated says that a token is nobody's.
var errUnauthenticated = errors.New("the token is not valid")

// Reviewer asks whose a token is and what they may do.
type Reviewer interface {
	// Authenticate returns errUnauthenticated for a token that is nobody's.
	Authenticate(ctx context.Context, token string) (User, error)
	Authorize(ctx context.Context, user User, demand Demand) (allowed bool, err error)
}

// kubernetesReviewer asks the API server.
type kubernetesReviewer struct{ client client.Client }

func (k kubernetesReviewer) Authenticate(ctx context.Context, token string) (User, error) {
	review := &authenticationv1.TokenReview{Spec: authenticationv1.TokenReviewSpec{Token: token}}
	if err := k.client.Create(ctx, review, client.DisableReadYourWritesConsistency); err != nil {
		return User{}, err
	}
	if !review.Status.Authenticated {
		return User{}, errUnauthenticated
	}
	return review.Status.User, nil
}

func (k kubernetesReviewer) Authorize(ctx context.Context, user User, d Demand) (bool, error) {
	extra := make(map[string]authorizationv1.ExtraValue, len(user.Extra))
	for key, value := range user.Extra {
		extra[key] = authorizationv1.ExtraValue(value)
	}
	review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
		User: user.Username, UID: user.UID, Groups: user.Groups, Extra: extra,
		ResourceAttributes: &authorizationv1.ResourceAttributes{
			Namespace: d.Namespace, Verb: d.Verb, Group: v1alpha1.GroupVersion.Group, Version: v1alpha1.GroupVersion.Version,
			Resource: "agents", Subresource: d.Subresource, Name: d.Agent,
		},
	}}
	if err := k.client.Create(ctx, review, client.DisableReadYourWritesConsistency); err != nil {
		return false, err
	}
	return review.Status.Allowed, nil
}

// access decides who may do what, and remembers it for a short time.
type access struct {
	reviewer Reviewer
	now      func() time.Time
	log      logr.Logger
	reviews  chan struct{}

	mu        sync.Mutex
	decisions map[decisionKey]decision
}

// decisionKey has a token's hash: the token itself is not kept.
type decisionKey struct {
	token [sha256.Size]byte
	Demand
}

type decision struct {
	user  User
	no    *failure
	until time.Time
}

func newAccess(reviewer Reviewer, now func() time.Time, log logr.Logger) *access {
	return &access{
		reviewer: reviewer, now: now, log: log, reviews: make(chan struct{}, maximumReviews),
		decisions: map[decisionKey]decision{},
	}
}

// bearer is a request's token.
func bearer(r *http.Request) (string, *failure) {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	token = strings.TrimSpace(token)
	if !strings.EqualFold(scheme, "Bearer") || token == "" {
		return "", unauthorized("send a token of the cluster: Authorization: Bearer <token>")
	}
	if len(token) > maximumToken {
		return "", unauthorized("the token is too long")
	}
	return token, nil
}

// check says who a token's holder is, or why they may not. A decision that is not older than decisionLife will do.
func (a *access) check(ctx context.Context, token string, demand Demand) (User, *failure) {
	key := decisionKey{sha256.Sum256([]byte(token)), demand}
	a.mu.Lock()
	known, ok := a.decisions[key]
	a.mu.Unlock()
	if ok && a.now().Before(known.until) {
		return known.user, known.no
	}
	return a.review(ctx, token, demand)
}

// review asks anew.
func (a *access) review(ctx context.Context, token string, demand Demand) (User, *failure) {
	ctx, cancel := context.WithTimeout(ctx, reviewTimeout)
	defer cancel()
	select {
	case a.reviews <- struct{}{}:
		defer func() { <-a.reviews }()
	case <-ctx.Done():
		return User{}, unavailable("too many tokens are being checked: try again")
	}
	user, err := a.reviewer.Authenticate(ctx, token)
	if errors.Is(err, errUnauthenticated) {
		return a.remember(token, demand, User{}, unauthorized("the token is not valid, or not any more: get a new one"))
	}
	allowed := false
	if err == nil {
		allowed, err = a.reviewer.Authorize(ctx, user, demand)
	}
	switch {
	case err != nil:
		// Not remembered: the next one asks again. The caller is not told more than that it is not their fault.
		a.log.Info("the API server does not review tokens", "cause", cause(err))
		return User{}, unavailable("the API server cannot check the token now: try again")
	case !allowed:
		return a.remember(token, demand, user, forbidden(fmt.Sprintf("user %q may not %s", user.Username, demand)))
	}
	return a.remember(token, demand, user, nil)
}

func (a *access) remember(token string, demand Demand, user User, no *failure) (User, *failure) {
	now := a.now()
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.decisions) >= maximumDecisions {
		for key, d := range a.decisions {
			if !now.Before(d.until) {
				delete(a.decisions, key)
			}
		}
		if len(a.decisions) >= maximumDecisions {
			clear(a.decisions)
		}
	}
	a.decisions[decisionKey{sha256.Sum256([]byte(token)), demand}] = decision{user, no, now.Add(decisionLife)}
	return user, no
}

// cause is an error without what the API server says of the object: it may quote it.
func cause(err error) string {
	if reason := apierrors.ReasonForError(err); reason != metav1.StatusReasonUnknown {
		return string(reason)
	}
	return err.Error()
}
