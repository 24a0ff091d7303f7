package roster

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"roster.dev/roster/api/v1alpha1"
)

// at is a moment of the tests' day.
func at(clock string) time.Time {
	t, err := time.Parse(time.RFC3339, "2027-02-01T"+clock+"Z")
	if err != nil {
		panic(err)
	}
	return t
}

func stamp(clock string) metav1.Time { return metav1.NewTime(at(clock)) }

func ptr(clock string) *metav1.Time { return new(stamp(clock)) }

func queue(name string) *v1alpha1.Queue {
	return &v1alpha1.Queue{
		ObjectMeta: metav1.ObjectMeta{Name: name, CreationTimestamp: stamp("08:00:00")},
		Spec: v1alpha1.QueueSpec{
			Type: v1alpha1.QueueTypeQueue, Channels: []v1alpha1.Channel{v1alpha1.ChannelVoice},
		},
	}
}

func entry(name string, stars int32, channels ...v1alpha1.Channel) v1alpha1.QueueEntry {
	return v1alpha1.QueueEntry{Name: v1alpha1.ObjectName(name), Stars: stars, Channels: channels}
}

func window(start, end string) func(*v1alpha1.Queue) {
	return func(q *v1alpha1.Queue) {
		q.Spec.Type, q.Spec.Window = v1alpha1.QueueTypeCampaign, &v1alpha1.Window{}
		if start != "" {
			q.Spec.Window.StartTime = ptr(start)
		}
		if end != "" {
			q.Spec.Window.EndTime = ptr(end)
		}
	}
}

func condition(reason string) metav1.Condition {
	return metav1.Condition{Type: v1alpha1.ConditionConflicted, Status: metav1.ConditionTrue, Reason: reason}
}
