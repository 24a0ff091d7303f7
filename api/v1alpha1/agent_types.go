package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// Agent is a person of the contact centre, with a phone.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Namespaced,shortName=ag,categories=roster
// +kubebuilder:selectablefield:JSONPath=`.spec.state`
// +kubebuilder:selectablefield:JSONPath=`.spec.role`
// +kubebuilder:selectablefield:JSONPath=`.status.phase`
// +kubebuilder:selectablefield:JSONPath=`.status.group`
// +kubebuilder:printcolumn:name="Phase",type=string,JSONPath=`.status.phase`
// +kubebuilder:printcolumn:name="Role",type=string,JSONPath=`.spec.role`
// +kubebuilder:printcolumn:name="Group",type=string,JSONPath=`.status.group`
// +kubebuilder:printcolumn:name="Queues",type=string,JSONPath=`.status.queueSummary`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Message",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Ready")].message`
// +kubebuilder:printcolumn:name="Seat",type=string,priority=1,JSONPath=`.status.seat`
// +kubebuilder:printcolumn:name="Extension",type=string,priority=1,JSONPath=`.spec.endpoint.extension`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:validation:XValidation:rule="self.metadata.name.size() <= 40 && self.metadata.name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",message="name an Agent with at most 40 lower-case letters, digits and '-', beginning and ending with a letter or digit: it is also the name on the telephone system"
// +kubebuilder:validation:XValidation:rule="self.metadata.name != 'anonymous'",message="choose another name: Asterisk gives unauthenticated calls to an endpoint named anonymous"
// +kubebuilder:validation:XValidation:rule="!has(self.spec.leaves) || self.spec.leaves.all(l, !has(l.backup) || l.backup != self.metadata.name)",message="name somebody else in leaves[].backup: a person cannot be their own backup",fieldPath=".spec.leaves"
type Agent struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is the standard object metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty,omitzero"`

	// spec is what is declared of the person; empty, it is a person with a phone.
	// +optional
	// +kubebuilder:default={}
	Spec AgentSpec `json:"spec,omitempty,omitzero"`

	// status is what Roster knows of the person.
	// +optional
	Status AgentStatus `json:"status,omitempty,omitzero"`
}

// AgentList is a list of Agents.
//
// +kubebuilder:object:root=true
type AgentList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []Agent `json:"items"`
}

// AgentRole is a person's function in the centre; it decides whom they may monitor.
//
// +kubebuilder:validation:Enum=CustomerService;TeamSupervisor;TeamLeader;CallCenterSupervisor;CallCenterManager
type AgentRole string

// The roles.
const (
	RoleCustomerService      AgentRole = "CustomerService"
	RoleTeamSupervisor       AgentRole = "TeamSupervisor"
	RoleTeamLeader           AgentRole = "TeamLeader"
	RoleCallCenterSupervisor AgentRole = "CallCenterSupervisor"
	RoleCallCenterManager    AgentRole = "CallCenterManager"
)

// AgentState is what is asked for: that the person works, or not.
//
// +kubebuilder:validation:Enum=Active;Deactivated
type AgentState string

// The states.
const (
	StateActive      AgentState = "Active"
	StateDeactivated AgentState = "Deactivated"
)

// License says whether a person takes a seat.
//
// +kubebuilder:validation:Enum=Seat;None
type License string

// The licenses.
const (
	LicenseSeat License = "Seat"
	LicenseNone License = "None"
)

// AgentSpec is what is declared of a person.
type AgentSpec struct {
	// displayName is the name that people read, and the caller id; default: the object's name.
	// +optional
	DisplayName DisplayName `json:"displayName,omitempty"`

	// email is the person's e-mail address. It also tells two holders of one name apart.
	// +optional
	// +kubebuilder:validation:MinLength=3
	// +kubebuilder:validation:MaxLength=254
	// +kubebuilder:validation:XValidation:rule="self.matches(r'^[^@\\s\\p{Cc}]+@[^@\\s\\p{Cc}]+$')",message="write an e-mail address, such as alice@acme.example"
	Email string `json:"email,omitempty"`

	// employeeID is the employee number.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:XValidation:rule="!self.matches(r'\\p{Cc}')",message="leave out control characters, such as line breaks"
	EmployeeID string `json:"employeeID,omitempty"`

	// role decides whom the person may monitor.
	// CustomerService: nobody.
	// TeamSupervisor: the CustomerService people of the same team.
	// TeamLeader: everybody else of the same team who is CustomerService, TeamSupervisor or TeamLeader.
	// CallCenterSupervisor: every CustomerService person of the centre.
	// CallCenterManager: everybody of the centre.
	// +optional
	// +kubebuilder:default=CustomerService
	Role AgentRole `json:"role,omitempty"`

	// state Deactivated signs the person out, takes every membership and refuses the phone.
	// +optional
	// +kubebuilder:default=Active
	State AgentState `json:"state,omitempty"`

	// onReactivation says what becomes of team memberships and individual queue entries when the person comes back.
	// Readd leaves them without effect until reinstated, Restore gives them back.
	// Default: the ContactCenter's policy.
	// +optional
	OnReactivation OnReactivation `json:"onReactivation,omitempty"`

	// reinstated gives back, one by one, what a deactivation revoked (status.revoked).
	// An entry counts where its time is at or after that of the revocation.
	// +optional
	// +listType=map
	// +listMapKey=kind
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=256
	Reinstated []Reinstatement `json:"reinstated,omitempty"`

	// employment is when the person starts and stops working here; the phase follows at that second.
	// +optional
	Employment *Employment `json:"employment,omitempty"`

	// leaves are the times of absence.
	// Of overlapping ones the one that began first rules.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	Leaves []Leave `json:"leaves,omitempty"`

	// license None gives the person a phone but no memberships and no cases.
	// +optional
	// +kubebuilder:default=Seat
	License License `json:"license,omitempty"`

	// timeZone is the person's time zone, an IANA name such as Europe/Rome. Kept for those who read it.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:XValidation:rule="self.matches('^[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+)*$')",message="write a time zone by its IANA name, such as Europe/Rome"
	TimeZone string `json:"timeZone,omitempty"`

	// locale is the person's language and region, such as it-IT. Kept for those who read it.
	// +optional
	// +kubebuilder:validation:MaxLength=35
	// +kubebuilder:validation:XValidation:rule="self.matches('^[A-Za-z]{2,8}([-_][A-Za-z0-9]{1,8})*$')",message="write a locale as a language tag, such as it-IT"
	Locale string `json:"locale,omitempty"`

	// contact is how the person is reached outside the centre.
	// +optional
	Contact *Contact `json:"contact,omitempty"`

	// attributes is anything else worth keeping of the person.
	// +optional
	// +kubebuilder:validation:MaxProperties=64
	// +kubebuilder:validation:XValidation:rule="self.all(k, k.size() > 0 && k.size() <= 63)",message="give each attribute a name of 1 to 63 characters"
	Attributes map[string]AttributeValue `json:"attributes,omitempty"`

	// signature ends the person's written messages.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	Signature string `json:"signature,omitempty"`

	// photo is the person's picture: JPEG or PNG.
	// +optional
	Photo *Photo `json:"photo,omitempty"`

	// workspaces the person belongs to.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=64
	Workspaces []ObjectName `json:"workspaces,omitempty"`

	// skills the person has.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=64
	Skills []Skill `json:"skills,omitempty"`

	// endpoint is the person's phone.
	// +optional
	Endpoint *Endpoint `json:"endpoint,omitempty"`
}

// AttributeValue is the value of an attribute.
//
// +kubebuilder:validation:MaxLength=256
type AttributeValue string

// EntryKind is a kind of membership that a deactivation revokes.
//
// +kubebuilder:validation:Enum=Team;Queue
type EntryKind string

// The kinds of revocable entries: a team membership, and an individual entry in a queue.
const (
	EntryTeam  EntryKind = "Team"
	EntryQueue EntryKind = "Queue"
)

// Reinstatement gives back one revoked entry.
type Reinstatement struct {
	// kind of the revoked entry.
	// +required
	Kind EntryKind `json:"kind"`

	// name of the Team or Queue.
	// +required
	Name ObjectName `json:"name"`

	// time of the decision, such as 2027-02-01T09:00:00Z. Effective where it is at or after the revocation.
	// +required
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Pattern=`^[0-9-]{10}T[0-9:]{8}([.][0-9]{1,9})?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$`
	Time metav1.Time `json:"time"`
}

// Employment is a span of work; an end left out is open.
//
// +kubebuilder:validation:XValidation:rule="!has(self.startTime) || !has(self.endTime) || self.startTime < self.endTime",message="employment.endTime must be after employment.startTime",fieldPath=".endTime"
type Employment struct {
	// startTime is when the person starts, such as 2026-12-01T08:00:00Z; before it they are Pending.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Pattern=`^[0-9-]{10}T[0-9:]{8}([.][0-9]{1,9})?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$`
	StartTime *metav1.Time `json:"startTime,omitempty"`

	// endTime is when the person stops, such as 2027-12-01T18:00:00Z; from it they are deactivated.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Pattern=`^[0-9-]{10}T[0-9:]{8}([.][0-9]{1,9})?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$`
	EndTime *metav1.Time `json:"endTime,omitempty"`
}

// Leave is a time of absence: paused in every queue, cases covered.
//
// +kubebuilder:validation:XValidation:rule="!has(self.endTime) || self.startTime < self.endTime",message="a leave's endTime must be after its startTime",fieldPath=".endTime"
type Leave struct {
	// startTime is when the absence begins, such as 2026-12-20T00:00:00Z.
	// +required
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Pattern=`^[0-9-]{10}T[0-9:]{8}([.][0-9]{1,9})?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$`
	StartTime metav1.Time `json:"startTime"`

	// endTime is when the person is back; left out, the absence lasts until it is edited.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Pattern=`^[0-9-]{10}T[0-9:]{8}([.][0-9]{1,9})?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$`
	EndTime *metav1.Time `json:"endTime,omitempty"`

	// reason of the absence; it becomes the pause reason: Vacation, SickLeave, Escalation, Backup, Training or Other.
	// +optional
	// +kubebuilder:default=Other
	Reason Reason `json:"reason,omitempty"`

	// backup is the Agent who covers this person's cases meanwhile.
	// +optional
	Backup AgentName `json:"backup,omitempty"`
}

// Contact is how a person is reached outside the centre.
type Contact struct {
	// phone is a fixed-line number.
	// +optional
	Phone PhoneNumber `json:"phone,omitempty"`

	// mobile is a mobile number.
	// +optional
	Mobile PhoneNumber `json:"mobile,omitempty"`
}

// Photo is where a person's picture is.
type Photo struct {
	// configMapKeyRef names a key in the binaryData of a ConfigMap.
	// +required
	ConfigMapKeyRef ConfigMapKeyReference `json:"configMapKeyRef"`
}

// ConfigMapKeyReference names one key of a ConfigMap in the same namespace.
type ConfigMapKeyReference struct {
	// name is the ConfigMap's name.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="!format.dns1123Subdomain().validate(self).hasValue()",message="write the ConfigMap's name as Kubernetes has it: lower-case letters, digits, '-' and '.', beginning and ending with a letter or digit"
	Name string `json:"name"`

	// key is the key in the ConfigMap.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Key string `json:"key"`
}

// Skill is something a person can do.
type Skill struct {
	// name of the skill.
	// +required
	Name ObjectName `json:"name"`

	// level of mastery, 1 to 10.
	// +optional
	// +kubebuilder:default=1
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=10
	Level int32 `json:"level,omitempty"`
}

// Endpoint is a person's phone.
type Endpoint struct {
	// extension that rings the person, in quotes: "1001". Unique in the centre; of two that claim one, the older object has it.
	// +optional
	Extension Extension `json:"extension,omitempty"`

	// passwordSecretRef is where the phone's password is. Without it Roster makes the Secret `<agent>-sip`.
	// +optional
	PasswordSecretRef *SecretKeyReference `json:"passwordSecretRef,omitempty"`

	// voicemail is the person's mailbox.
	// +optional
	Voicemail *Voicemail `json:"voicemail,omitempty"`
}

// Voicemail is a mailbox.
type Voicemail struct {
	// mailbox is its number.
	// +required
	Mailbox Extension `json:"mailbox"`

	// pinSecretRef is where its PIN is. A PIN changed by phone stays until the Secret changes.
	// +required
	PINSecretRef SecretKeyReference `json:"pinSecretRef"`
}

// AgentPhase is where a person stands now.
//
// +kubebuilder:validation:Enum=Pending;Active;OnLeave;Deactivating;Deactivated
type AgentPhase string

const (
	// PhasePending is a person whose employment has not begun: refused on the telephone system, nothing revoked.
	PhasePending AgentPhase = "Pending"
	// PhaseActive is a person who works.
	PhaseActive AgentPhase = "Active"
	// PhaseOnLeave is a person who is away: signed in, paused everywhere.
	PhaseOnLeave AgentPhase = "OnLeave"
	// PhaseDeactivating is a person whose access is gone but who is not yet known to be offline.
	PhaseDeactivating AgentPhase = "Deactivating"
	// PhaseDeactivated is a person who is out.
	PhaseDeactivated AgentPhase = "Deactivated"
)

// SeatState says whether a person has a seat.
//
// +kubebuilder:validation:Enum=Held;Waiting
type SeatState string

const (
	// SeatHeld is a person who has a seat, and may serve queues and hold cases.
	SeatHeld SeatState = "Held"
	// SeatWaiting is a person who waits for a seat, in the order of creation: the phone works, and that is all.
	SeatWaiting SeatState = "Waiting"
)

// AgentStatus is what Roster knows of a person.
type AgentStatus struct {
	// observedGeneration is the generation of the spec that this status is about.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// phase is where the person stands now: Pending, Active, OnLeave, Deactivating or Deactivated.
	// +optional
	Phase AgentPhase `json:"phase,omitempty"`

	// group is the AgentGroup that holds the person; no other may.
	// +optional
	Group ObjectName `json:"group,omitempty"`

	// teams the person is in, sorted.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=256
	Teams []ObjectName `json:"teams,omitempty"`

	// queues the person serves, sorted by name.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=512
	Queues []QueueMembership `json:"queues,omitempty"`

	// queueSummary names the queues in one line, for `kubectl get`.
	// +optional
	// +kubebuilder:validation:MaxLength=256
	QueueSummary string `json:"queueSummary,omitempty"`

	// revoked are the entries that a deactivation took and that wait for reinstatement, sorted.
	// +optional
	// +listType=map
	// +listMapKey=kind
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=1024
	Revoked []Revocation `json:"revoked,omitempty"`

	// supervises are the queues and campaigns that the person supervises now, sorted.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=512
	Supervises []ObjectName `json:"supervises,omitempty"`

	// seat says whether a person who works, and needs a licence for it, has one of the centre's: Held or Waiting.
	// +optional
	Seat SeatState `json:"seat,omitempty"`

	// interface is the person's phone as Asterisk names it.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	Interface string `json:"interface,omitempty"`

	// deactivation says how far the current or last deactivation is.
	// +optional
	Deactivation *Deactivation `json:"deactivation,omitempty"`

	// handled are the one-shot orders done, by name, with the annotation's value.
	// +optional
	// +kubebuilder:validation:MaxProperties=16
	Handled map[string]HandledOrder `json:"handled,omitempty"`

	// history is what changed, oldest first; the newest 20.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=20
	History []HistoryEntry `json:"history,omitempty"`

	// conditions follow kstatus: Ready, Reconciling, Stalled, and those of this kind.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=16
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// HandledOrder is the value of a one-shot order's annotation that was carried out.
//
// +kubebuilder:validation:MaxLength=256
type HandledOrder string

// QueueMembership is a person's effective membership in one queue.
type QueueMembership struct {
	// name of the Queue.
	// +required
	Name ObjectName `json:"name"`

	// stars of the person in the queue, 1 to 4.
	// +required
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=4
	Stars int32 `json:"stars"`

	// channels the person serves.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=6
	Channels []Channel `json:"channels,omitempty"`

	// via is how the person came into the queue: Direct, Group/<name>, Team/<name>, sorted.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=258
	Via []Way `json:"via,omitempty"`
}

// Way is how a person came into a queue: Direct, Group/<name> or Team/<name>.
//
// +kubebuilder:validation:MaxLength=80
type Way string

// Revocation is an entry that a deactivation took.
type Revocation struct {
	// kind of the entry.
	// +required
	Kind EntryKind `json:"kind"`

	// name of the Team or Queue.
	// +required
	Name ObjectName `json:"name"`

	// since is when it was revoked.
	// +required
	Since metav1.Time `json:"since"`
}

// Deactivation is the auditor's record of a deactivation.
type Deactivation struct {
	// requestedAt is when Roster first saw that the person must go; access ended in the same transaction.
	// +optional
	RequestedAt *metav1.Time `json:"requestedAt,omitempty"`

	// offlineAt is when the person's phone was observed to be off.
	// +optional
	OfflineAt *metav1.Time `json:"offlineAt,omitempty"`

	// completedAt is when everything was done.
	// +optional
	CompletedAt *metav1.Time `json:"completedAt,omitempty"`
}
