package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// Queue is where clients wait for people: a queue, or a campaign with a window of time.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Namespaced,shortName=q,categories=roster
// +kubebuilder:selectablefield:JSONPath=`.spec.type`
// +kubebuilder:printcolumn:name="Type",type=string,JSONPath=`.spec.type`
// +kubebuilder:printcolumn:name="Channels",type=string,JSONPath=`.spec.channels`
// +kubebuilder:printcolumn:name="Extension",type=string,JSONPath=`.spec.extension`
// +kubebuilder:printcolumn:name="Staffed",type=string,JSONPath=`.status.conditions[?(@.type=="Staffed")].status`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Message",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Ready")].message`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:validation:XValidation:rule="self.metadata.name.size() <= 63 && self.metadata.name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",message="name a Queue with at most 63 lower-case letters, digits and '-', beginning and ending with a letter or digit: it is also the name on the telephone system"
type Queue struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is the standard object metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty,omitzero"`

	// spec is how the queue works and who serves it.
	// +optional
	// +kubebuilder:default={}
	Spec QueueSpec `json:"spec,omitempty,omitzero"`

	// status is what Roster knows of the queue.
	// +optional
	Status QueueStatus `json:"status,omitempty,omitzero"`
}

// QueueList is a list of Queues.
//
// +kubebuilder:object:root=true
type QueueList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []Queue `json:"items"`
}

// QueueType tells queues from campaigns.
//
// +kubebuilder:validation:Enum=Queue;Campaign
type QueueType string

// The types of queues.
const (
	QueueTypeQueue    QueueType = "Queue"
	QueueTypeCampaign QueueType = "Campaign"
)

// Competency says whether stars count in a queue.
//
// +kubebuilder:validation:Enum=Enabled;Disabled
type Competency string

// The values of competency.
const (
	CompetencyEnabled  Competency = "Enabled"
	CompetencyDisabled Competency = "Disabled"
)

// QueueStrategy decides whose phone rings next.
//
// +kubebuilder:validation:Enum=LeastRecent;RingAll;FewestCalls;Random;RoundRobinMemory;RoundRobinOrdered;Linear;WeightedRandom
type QueueStrategy string

// The strategies, each Asterisk's of that name.
const (
	StrategyLeastRecent       QueueStrategy = "LeastRecent"
	StrategyRingAll           QueueStrategy = "RingAll"
	StrategyFewestCalls       QueueStrategy = "FewestCalls"
	StrategyRandom            QueueStrategy = "Random"
	StrategyRoundRobinMemory  QueueStrategy = "RoundRobinMemory"
	StrategyRoundRobinOrdered QueueStrategy = "RoundRobinOrdered"
	StrategyLinear            QueueStrategy = "Linear"
	StrategyWeightedRandom    QueueStrategy = "WeightedRandom"
)

// MembershipPolicy says whose word counts about a queue's members.
//
// +kubebuilder:validation:Enum=Authoritative;Additive;Observe
type MembershipPolicy string

const (
	// MembershipAuthoritative removes voice members that Roster did not add.
	MembershipAuthoritative MembershipPolicy = "Authoritative"
	// MembershipAdditive leaves voice members that Roster did not add.
	MembershipAdditive MembershipPolicy = "Additive"
	// MembershipObserve writes neither the queue nor its members to the telephone system.
	MembershipObserve MembershipPolicy = "Observe"
)

// QueueSpec is how a queue works and who serves it.
//
// +kubebuilder:validation:XValidation:rule="!has(self.window) || self.type == 'Campaign'",message="window is for campaigns: set type: Campaign, or remove window",fieldPath=".window"
// +kubebuilder:validation:XValidation:rule="!has(self.agents) || self.agents.all(e, !has(e.channels) || e.channels.all(c, c in self.channels))",message="agents[].channels must be among the queue's channels: add the channel to spec.channels, or remove it from the entry",fieldPath=".agents"
// +kubebuilder:validation:XValidation:rule="!has(self.groups) || self.groups.all(e, !has(e.channels) || e.channels.all(c, c in self.channels))",message="groups[].channels must be among the queue's channels: add the channel to spec.channels, or remove it from the entry",fieldPath=".groups"
// +kubebuilder:validation:XValidation:rule="!has(self.teams) || self.teams.all(e, !has(e.channels) || e.channels.all(c, c in self.channels))",message="teams[].channels must be among the queue's channels: add the channel to spec.channels, or remove it from the entry",fieldPath=".teams"
type QueueSpec struct {
	// displayName is the name that people read; default: the object's name.
	// +optional
	DisplayName DisplayName `json:"displayName,omitempty"`

	// type Campaign gives the queue a window of time.
	// +optional
	// +kubebuilder:default=Queue
	Type QueueType `json:"type,omitempty"`

	// window is when a campaign is staffed; an end left out is open.
	// +optional
	Window *Window `json:"window,omitempty"`

	// channels in which clients reach the queue: Voice, Chat, Email, SMS, Fax, Voicemail.
	// The PBX serves Voice; the others are kept in status and reports.
	// +optional
	// +listType=set
	// +kubebuilder:default={Voice}
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=6
	Channels []Channel `json:"channels,omitempty"`

	// extension that callers inside the centre dial, in quotes: "600". Unique in the centre.
	// +optional
	Extension Extension `json:"extension,omitempty"`

	// competency Enabled lets stars count: more stars, earlier called.
	// +optional
	// +kubebuilder:default=Disabled
	Competency Competency `json:"competency,omitempty"`

	// strategy decides whose phone rings next, as Asterisk's of that name.
	// LeastRecent, RingAll, FewestCalls, Random, RoundRobinMemory, RoundRobinOrdered, Linear or WeightedRandom.
	// +optional
	// +kubebuilder:default=LeastRecent
	Strategy QueueStrategy `json:"strategy,omitempty"`

	// timeoutSeconds is how long a member's phone rings.
	// +optional
	// +kubebuilder:default=15
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=3600
	TimeoutSeconds int32 `json:"timeoutSeconds,omitempty"`

	// wrapUpSeconds is the pause after a call before the next.
	// +optional
	// +kubebuilder:default=0
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=86400
	WrapUpSeconds *int32 `json:"wrapUpSeconds,omitempty"`

	// serviceLevelSeconds is the time within which a call should be answered, for the PBX's statistics.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=86400
	ServiceLevelSeconds *int32 `json:"serviceLevelSeconds,omitempty"`

	// maxCallers is how many callers may wait; absent or 0: no limit.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=100000
	MaxCallers *int32 `json:"maxCallers,omitempty"`

	// minimumStaff is how many people should serve the queue; fewer is told in condition Staffed.
	// +optional
	// +kubebuilder:default=0
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=100000
	MinimumStaff *int32 `json:"minimumStaff,omitempty"`

	// membership says whose word counts about the queue's voice members.
	// Authoritative removes those that Roster did not add, Additive leaves them, Observe writes nothing of this queue.
	// +optional
	// +kubebuilder:default=Authoritative
	Membership MembershipPolicy `json:"membership,omitempty"`

	// agents serve the queue one by one; such an entry decides the person's stars and channels.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=3000
	// +kubebuilder:validation:XValidation:rule="self.all(e, e.name.size() <= 40)",message="name Agents in agents: an Agent's name has at most 40 characters"
	Agents []QueueEntry `json:"agents,omitempty"`

	// groups whose people serve the queue.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=256
	Groups []QueueEntry `json:"groups,omitempty"`

	// teams whose people serve the queue.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=256
	Teams []QueueEntry `json:"teams,omitempty"`

	// supervisors are on the queue to supervise, not to answer.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=256
	Supervisors []Member `json:"supervisors,omitempty"`
}

// Window is a span of time; an end left out is open.
//
// +kubebuilder:validation:XValidation:rule="!has(self.startTime) || !has(self.endTime) || self.startTime < self.endTime",message="window.endTime must be after window.startTime",fieldPath=".endTime"
type Window struct {
	// startTime is when the campaign opens, such as 2026-12-01T08:00:00Z.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Pattern=`^[0-9-]{10}T[0-9:]{8}([.][0-9]{1,9})?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$`
	StartTime *metav1.Time `json:"startTime,omitempty"`

	// endTime is when the campaign closes, such as 2026-12-24T18:00:00Z.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Pattern=`^[0-9-]{10}T[0-9:]{8}([.][0-9]{1,9})?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$`
	EndTime *metav1.Time `json:"endTime,omitempty"`
}

// QueueEntry brings one person, or the people of one group or team, into a queue.
type QueueEntry struct {
	// name of the Agent, AgentGroup or Team.
	// +required
	Name ObjectName `json:"name"`

	// stars from 1 to 4; 4 is called first where the queue enables competency.
	// +optional
	// +kubebuilder:default=1
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=4
	Stars int32 `json:"stars,omitempty"`

	// channels the entry is for, among the queue's; default: all of them.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=6
	Channels []Channel `json:"channels,omitempty"`
}

// QueueStatus is what Roster knows of a queue. It holds no count of members: who serves a queue is in the
// Agents' status, and a count here would cost a write for every change of one person.
type QueueStatus struct {
	// observedGeneration is the generation of the spec that this status is about.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// conditions follow kstatus: Ready, Reconciling, Stalled, and those of this kind.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=16
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}
