package main

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"roster.dev/roster/api/v1alpha1"
)

const (
	groups = 40
	teams  = 20
	queues = 50
	// sharing is how many agents' passwords are in a shared Secret.
	sharing = 100

	groupLabel = "bench.roster.dev/group"
	teamLabel  = "bench.roster.dev/team"
	// membersLimit is how many people a list may name.
	membersLimit = 3000
)

// selects says whether a group or team selects its people by label; the others name them.
func selects(index int) bool { return index%2 == 0 }

// staff is a made-up centre: who is in it, and what is expected of them.
//
// Everybody is in one group, one team and up to five queues: two through the group, two through the team and one as
// an individual entry, less what falls together.
type staff struct {
	// prefix of all names.
	prefix string
	agents int
	// base is the first agent's extension, less one.
	base int
	// crowd is how many of the agents are in the first group; 0: as many as in the others.
	crowd         int
	sharedSecrets bool
}

func (s *staff) agent(i int) string { return fmt.Sprintf("%s-%05d", s.prefix, i) }
func (s *staff) group(i int) string { return fmt.Sprintf("%s-group-%02d", s.prefix, i) }
func (s *staff) team(i int) string  { return fmt.Sprintf("%s-team-%02d", s.prefix, i) }
func (s *staff) queue(i int) string { return fmt.Sprintf("%s-queue-%02d", s.prefix, i) }

func (s *staff) groupOf(agent int) int {
	if agent < s.crowd {
		return 0
	}
	if s.crowd > 0 {
		return 1 + agent%(groups-1)
	}
	return agent % groups
}

func (s *staff) teamOf(agent int) int  { return agent / groups % teams }
func (s *staff) queueOf(agent int) int { return agent % queues }

// The queues that a group and a team serve.

func queuesOfGroup(group int) [2]int { return [2]int{group, (group + 17) % queues} }
func queuesOfTeam(team int) [2]int   { return [2]int{(2*team + 5) % queues, (2*team + 28) % queues} }

// memberships is how many queue memberships there are to be.
func (s *staff) memberships() int {
	n := 0
	for i := range s.agents {
		distinct := map[int]bool{s.queueOf(i): true}
		for _, q := range queuesOfGroup(s.groupOf(i)) {
			distinct[q] = true
		}
		for _, q := range queuesOfTeam(s.teamOf(i)) {
			distinct[q] = true
		}
		n += len(distinct)
	}
	return n
}

func meta(name string, labels map[string]string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: labels}
}

// secretOf is where an agent's password is.
func (s *staff) secretOf(agent int) v1alpha1.SecretKeyReference {
	if s.sharedSecrets {
		return v1alpha1.SecretKeyReference{Name: fmt.Sprintf("%s-sip-%03d", s.prefix, agent/sharing), Key: s.agent(agent)}
	}
	return v1alpha1.SecretKeyReference{Name: s.agent(agent) + "-phone", Key: "password"}
}

// secrets hold the passwords of all agents.
func (s *staff) secrets() []client.Object {
	var list []client.Object
	last := ""
	for i := range s.agents {
		ref := s.secretOf(i)
		if ref.Name != last {
			list = append(list, &corev1.Secret{ObjectMeta: meta(ref.Name, nil), Data: map[string][]byte{}})
			last = ref.Name
		}
		list[len(list)-1].(*corev1.Secret).Data[ref.Key] = fmt.Appendf(nil, "Correct-Horse-%06d", s.base+i)
	}
	return list
}

// people are the agents.
func (s *staff) people() []*v1alpha1.Agent {
	list := make([]*v1alpha1.Agent, s.agents)
	for i := range list {
		ref := s.secretOf(i)
		list[i] = &v1alpha1.Agent{
			ObjectMeta: meta(s.agent(i), map[string]string{groupLabel: s.group(s.groupOf(i)), teamLabel: s.team(s.teamOf(i))}),
			Spec: v1alpha1.AgentSpec{
				DisplayName: v1alpha1.DisplayName(fmt.Sprintf("Agent Number %d", s.base+i)),
				Email:       s.agent(i) + "@bench.example",
				EmployeeID:  fmt.Sprintf("E-%06d", s.base+i),
				TimeZone:    "Europe/Rome", Locale: "it-IT",
				Endpoint: &v1alpha1.Endpoint{
					Extension: v1alpha1.Extension(fmt.Sprint(s.base + i + 1)), PasswordSecretRef: &ref,
				},
			},
		}
	}
	return list
}

// lists are the groups, teams and queues.
func (s *staff) lists() []client.Object {
	var list []client.Object
	for g := range groups {
		group := &v1alpha1.AgentGroup{ObjectMeta: meta(s.group(g), nil), Spec: v1alpha1.AgentGroupSpec{Color: "#1F77B4"}}
		group.Spec.Members, group.Spec.Selector = s.members(groupLabel, s.group(g), g, s.groupOf)
		list = append(list, group)
	}
	for t := range teams {
		team := &v1alpha1.Team{ObjectMeta: meta(s.team(t), nil)}
		team.Spec.Members, team.Spec.Selector = s.members(teamLabel, s.team(t), t, s.teamOf)
		list = append(list, team)
	}
	for q := range queues {
		list = append(list, s.queueObject(q))
	}
	return list
}

// members are those of a list, selected or named.
func (s *staff) members(label, name string, index int, of func(agent int) int) ([]v1alpha1.Member, *v1alpha1.LabelSelector) {
	var named []v1alpha1.Member
	for i := range s.agents {
		if of(i) == index {
			named = append(named, v1alpha1.Member{Name: v1alpha1.AgentName(s.agent(i))})
		}
	}
	if selects(index) || len(named) > membersLimit {
		return nil, &v1alpha1.LabelSelector{MatchLabels: map[string]v1alpha1.LabelValue{label: v1alpha1.LabelValue(name)}}
	}
	return named, nil
}

func (s *staff) queueObject(q int) *v1alpha1.Queue {
	queue := &v1alpha1.Queue{ObjectMeta: meta(s.queue(q), nil), Spec: v1alpha1.QueueSpec{
		Channels: []v1alpha1.Channel{v1alpha1.ChannelVoice}, Strategy: v1alpha1.StrategyFewestCalls,
	}}
	if q%2 == 0 {
		queue.Spec.Competency = v1alpha1.CompetencyEnabled
	}
	if q%5 == 0 {
		queue.Spec.Channels = append(queue.Spec.Channels, v1alpha1.ChannelChat)
	}
	entry := func(name string, stars int) v1alpha1.QueueEntry {
		return v1alpha1.QueueEntry{Name: v1alpha1.ObjectName(name), Stars: int32(1 + stars%4)}
	}
	for g := range groups {
		for _, served := range queuesOfGroup(g) {
			if served == q {
				queue.Spec.Groups = append(queue.Spec.Groups, entry(s.group(g), g))
			}
		}
	}
	for t := range teams {
		for _, served := range queuesOfTeam(t) {
			if served == q {
				queue.Spec.Teams = append(queue.Spec.Teams, entry(s.team(t), t))
			}
		}
	}
	for i := q; i < s.agents; i += queues {
		queue.Spec.Agents = append(queue.Spec.Agents, entry(s.agent(i), i/queues))
	}
	return queue
}

// database is where the centre's rows are, within the data folder.
const database = "pbx.sqlite3"

// centre is the ContactCenter.
func centre() *v1alpha1.ContactCenter {
	return &v1alpha1.ContactCenter{ObjectMeta: meta("default", nil), Spec: v1alpha1.ContactCenterSpec{
		Telephony: v1alpha1.Telephony{
			Type: v1alpha1.TelephonyAsteriskRealtime,
			AsteriskRealtime: &v1alpha1.AsteriskRealtime{
				Database: v1alpha1.Database{Type: v1alpha1.DatabaseSQLite, Path: database},
			},
		},
	}}
}
