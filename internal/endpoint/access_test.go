package endpoint

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/go-logr/logr/funcr"
	. "github.com/onsi/gomega"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

func TestAccessRemembersForAShortTime(t *testing.T) {
	g := NewWithT(t)
	now := time.Now()
	var logged string
	d := &desk{}
	a := newAccess(d, func() time.Time { return now }, funcr.New(func(_, args string) { logged += args }, funcr.Options{}))
	d.allow("carla", mayRead)
	check := func(token string, demand Demand, code, reviews int) {
		g.THelper()
		before := d.asked()
		user, f := a.check(context.Background(), token, demand)
		g.Expect(d.asked()-before).To(Equal(reviews), "reviews")
		if code == http.StatusOK {
			g.Expect(f).To(BeNil())
			g.Expect(user.Username).To(Equal(token))
			return
		}
		g.Expect(f).NotTo(BeNil())
		g.Expect(f.code).To(Equal(code))
		g.Expect(f.message).NotTo(ContainSubstring("stranger"))
	}
	check("carla", mayRead, 200, 1)
	check("carla", mayRead, 200, 0)
	check("carla", mayFollow, 403, 1)
	check("carla", mayFollow, 403, 0)
	check("carla", Demand{"other", "get", "live", ""}, 403, 1)
	check("stranger", mayRead, 401, 1)
	check("stranger", mayRead, 401, 0)
	d.dismiss("carla")
	now = now.Add(decisionLife - time.Millisecond)
	check("carla", mayRead, 200, 0)
	now = now.Add(time.Millisecond)
	check("carla", mayRead, 401, 1)

	d.fail(apierrors.NewForbidden(schema.GroupResource{Resource: "tokenreviews"}, "", errors.New("quoted-secret")))
	check("dora", mayRead, 503, 1)
	check("dora", mayRead, 503, 1)
	g.Expect(logged).To(And(ContainSubstring("Forbidden"), Not(ContainSubstring("quoted-secret")), Not(ContainSubstring("dora"))))
	d.fail(nil)
	d.allow("dora", mayRead)
	check("dora", mayRead, 200, 1)
}

func TestAccessIsBounded(t *testing.T) {
	g := NewWithT(t)
	now := time.Now()
	a := newAccess(&desk{}, func() time.Time { return now }, funcr.New(func(_, _ string) {}, funcr.Options{}))
	for i := range 2*maximumDecisions + 10 {
		_, f := a.check(context.Background(), fmt.Sprintf("stranger-%d", i), mayRead)
		g.Expect(f.code).To(Equal(http.StatusUnauthorized))
		if len(a.decisions) > maximumDecisions {
			t.Fatalf("%d decisions are kept", len(a.decisions))
		}
	}
}

// stuck never answers.
type stuck struct{ desk }

func (*stuck) Authenticate(ctx context.Context, _ string) (User, error) {
	<-ctx.Done()
	return User{}, ctx.Err()
}

func TestReviewsAreLimited(t *testing.T) {
	g := NewWithT(t)
	a := newAccess(&stuck{}, time.Now, funcr.New(func(_, _ string) {}, funcr.Options{}))
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan *failure, maximumReviews)
	for i := range maximumReviews {
		go func() {
			_, f := a.check(ctx, fmt.Sprint(i), mayRead)
			done <- f
		}()
	}
	g.Eventually(func() int { return len(a.reviews) }).Should(Equal(maximumReviews))
	hasty, leave := context.WithTimeout(ctx, 10*time.Millisecond)
	defer leave()
	_, f := a.check(hasty, "one more", mayRead)
	g.Expect(f.code).To(Equal(http.StatusServiceUnavailable))
	cancel()
	for range maximumReviews {
		g.Expect((<-done).code).To(Equal(http.StatusServiceUnavailable))
	}
}

func TestLimiter(t *testing.T) {
	g := NewWithT(t)
	now := time.Now()
	l := newLimiter(3, func() time.Time { return now })
	for range 3 {
		g.Expect(l.take("alice")).To(BeZero())
	}
	g.Expect(l.take("alice")).To(Equal(attemptEvery))
	g.Expect(l.take("bob")).To(BeZero())
	now = now.Add(attemptEvery - time.Second)
	g.Expect(l.take("alice")).To(Equal(time.Second))
	now = now.Add(time.Second)
	g.Expect(l.take("alice")).To(BeZero())
	g.Expect(l.take("alice")).To(Equal(attemptEvery))
	l.giveBack("alice")
	g.Expect(l.take("alice")).To(BeZero())
	now = now.Add(time.Hour)
	for range 3 {
		g.Expect(l.take("alice")).To(BeZero())
	}
	g.Expect(l.take("alice")).To(Equal(attemptEvery), "waiting longer gives no more than all tokens")
}

func TestLimiterIsBounded(t *testing.T) {
	g := NewWithT(t)
	now := time.Now()
	l := newLimiter(3, func() time.Time { return now })
	for i := range maximumBuckets {
		l.take(fmt.Sprint(i))
	}
	g.Expect(l.take("one more")).To(Equal(attemptEvery))
	g.Expect(l.take("7")).To(BeZero(), "who is known may go on")
	g.Expect(l.full).To(HaveLen(maximumBuckets))
	now = now.Add(attemptEvery)
	g.Expect(l.take("one more")).To(BeZero())
	g.Expect(l.full).To(HaveLen(2), "all but 7 and one more are forgotten")
}
