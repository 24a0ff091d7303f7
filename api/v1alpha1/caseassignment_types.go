package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// CaseAssignment gives a case, or a client, to people.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Namespaced,shortName=ca,categories=roster
// +kubebuilder:selectablefield:JSONPath=`.spec.state`
// +kubebuilder:selectablefield:JSONPath=`.status.phase`
// +kubebuilder:printcolumn:name="Phase",type=string,JSONPath=`.status.phase`
// +kubebuilder:printcolumn:name="Case",type=string,JSONPath=`.spec.case.id`
// +kubebuilder:printcolumn:name="Client",type=string,JSONPath=`.spec.client.name`
// +kubebuilder:printcolumn:name="Responsible",type=string,JSONPath=`.status.assignees[0].name`
// +kubebuilder:printcolumn:name="Via",type=string,JSONPath=`.status.assignees[0].via`
// +kubebuilder:printcolumn:name="Next",type=string,priority=1,JSONPath=`.spec.nextActionTime`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:validation:XValidation:rule="self.metadata.name.size() <= 63 && self.metadata.name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",message="name a CaseAssignment with at most 63 lower-case letters, digits and '-', beginning and ending with a letter or digit"
type CaseAssignment struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is the standard object metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty,omitzero"`

	// spec is what is assigned, and to whom.
	// +required
	Spec CaseAssignmentSpec `json:"spec"`

	// status is who holds the case now.
	// +optional
	Status CaseAssignmentStatus `json:"status,omitempty,omitzero"`
}

// CaseAssignmentList is a list of CaseAssignments.
//
// +kubebuilder:object:root=true
type CaseAssignmentList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []CaseAssignment `json:"items"`
}

// CaseState tells open cases from completed ones.
//
// +kubebuilder:validation:Enum=Open;Completed
type CaseState string

// The states of a case.
const (
	CaseOpen      CaseState = "Open"
	CaseCompleted CaseState = "Completed"
)

// Fallback is whom a case goes to when the responsible person is not able.
//
// +kubebuilder:validation:Enum=Backup;Group
type Fallback string

// The fallbacks: the backup that a leave names, and the sticky group's person with the fewest open cases.
const (
	FallbackBackup Fallback = "Backup"
	FallbackGroup  Fallback = "Group"
)

// CaseAssignmentSpec is what is assigned, and to whom.
//
// +kubebuilder:validation:XValidation:rule="has(self.case) || has(self.client)",message="say what is assigned: case, or client, or both"
type CaseAssignmentSpec struct {
	// case is the matter.
	// +optional
	Case *Case `json:"case,omitempty"`

	// client is whom it is for. A client's calls go to the responsible person first.
	// +optional
	Client *Client `json:"client,omitempty"`

	// assignees are who should hold it; the first is the responsible one.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=32
	Assignees []Assignee `json:"assignees,omitempty"`

	// group is the AgentGroup whose people take it when the responsible person is not able, and whose free people
	// the client's calls reach next.
	// +optional
	Group ObjectName `json:"group,omitempty"`

	// fallback is tried in order when the responsible person, the first of assignees, is not able. Where it finds
	// nobody the next assignee who is able is responsible, and without one the case is Unassigned.
	// +optional
	// +listType=set
	// +kubebuilder:default={Backup,Group}
	// +kubebuilder:validation:MaxItems=2
	Fallback []Fallback `json:"fallback,omitempty"`

	// appointment booked with the client.
	// +optional
	Appointment *Appointment `json:"appointment,omitempty"`

	// nextActionTime is when something is to be done next, such as 2026-12-01T08:00:00Z; it puts the case into the holder's agenda.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Pattern=`^[0-9-]{10}T[0-9:]{8}([.][0-9]{1,9})?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$`
	NextActionTime *metav1.Time `json:"nextActionTime,omitempty"`

	// state Completed frees the people and keeps the history.
	// +optional
	// +kubebuilder:default=Open
	State CaseState `json:"state,omitempty"`
}

// Case is a matter in some other system.
type Case struct {
	// id in that system.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	// +kubebuilder:validation:XValidation:rule="!self.matches(r'\\p{Cc}')",message="leave out control characters, such as line breaks"
	ID string `json:"id"`

	// title that people read.
	// +optional
	// +kubebuilder:validation:MaxLength=256
	// +kubebuilder:validation:XValidation:rule="!self.matches(r'\\p{Cc}')",message="leave out control characters, such as line breaks"
	Title string `json:"title,omitempty"`

	// url where the case can be seen.
	// +optional
	// +kubebuilder:validation:MaxLength=2048
	// +kubebuilder:validation:XValidation:rule="isURL(self) && url(self).getScheme() in ['http', 'https']",message="write a full web address, such as https://crm.acme.example/cases/7"
	URL string `json:"url,omitempty"`
}

// Client is whom a case is for.
type Client struct {
	// id of the client in some other system.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	// +kubebuilder:validation:XValidation:rule="!self.matches(r'\\p{Cc}')",message="leave out control characters, such as line breaks"
	ID string `json:"id"`

	// name that people read.
	// +optional
	// +kubebuilder:validation:MaxLength=256
	// +kubebuilder:validation:XValidation:rule="!self.matches(r'\\p{Cc}')",message="leave out control characters, such as line breaks"
	Name string `json:"name,omitempty"`

	// phones the client calls from.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=16
	Phones []PhoneNumber `json:"phones,omitempty"`
}

// Assignee is a person who should hold a case.
type Assignee struct {
	// name of the Agent.
	// +required
	Name AgentName `json:"name"`

	// reason why this person: Vacation, SickLeave, Escalation, Backup, Training or Other.
	// +optional
	Reason Reason `json:"reason,omitempty"`
}

// Appointment is a time booked with a client.
//
// +kubebuilder:validation:XValidation:rule="self.startTime < self.endTime",message="appointment.endTime must be after appointment.startTime",fieldPath=".endTime"
type Appointment struct {
	// startTime of the appointment, such as 2026-12-01T15:00:00+01:00.
	// +required
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Pattern=`^[0-9-]{10}T[0-9:]{8}([.][0-9]{1,9})?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$`
	StartTime metav1.Time `json:"startTime"`

	// endTime of the appointment, such as 2026-12-01T15:30:00+01:00.
	// +required
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Pattern=`^[0-9-]{10}T[0-9:]{8}([.][0-9]{1,9})?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$`
	EndTime metav1.Time `json:"endTime"`

	// timeZone in which the client reads the times, an IANA name such as Europe/Rome.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:XValidation:rule="self.matches('^[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+)*$')",message="write a time zone by its IANA name, such as Europe/Rome"
	TimeZone string `json:"timeZone,omitempty"`
}

// CasePhase is where a case stands now.
//
// +kubebuilder:validation:Enum=Assigned;Covered;Unassigned;Completed
type CasePhase string

// The phases of a case.
const (
	CaseAssigned       CasePhase = "Assigned"
	CaseCovered        CasePhase = "Covered"
	CaseUnassigned     CasePhase = "Unassigned"
	CasePhaseCompleted CasePhase = "Completed"
)

// AssignedVia is how a case came to a person.
//
// +kubebuilder:validation:Enum=Declared;Backup;Group
type AssignedVia string

// The ways in which a case comes to a person.
const (
	ViaDeclared AssignedVia = "Declared"
	ViaBackup   AssignedVia = "Backup"
	ViaGroup    AssignedVia = "Group"
)

// CaseAssignmentStatus is who holds a case now.
type CaseAssignmentStatus struct {
	// observedGeneration is the generation of the spec that this status is about.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// phase is where the case stands now.
	// +optional
	Phase CasePhase `json:"phase,omitempty"`

	// assignees hold the case; the first is the responsible one.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=32
	Assignees []EffectiveAssignee `json:"assignees,omitempty"`

	// history is who held the case, when and why, oldest first; the newest 50.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=50
	History []HistoryEntry `json:"history,omitempty"`

	// conditions follow kstatus: Ready, Reconciling, Stalled, and those of this kind.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=16
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// EffectiveAssignee is a person who holds a case.
type EffectiveAssignee struct {
	// name of the Agent.
	// +required
	Name AgentName `json:"name"`

	// via is how the case came to the person.
	// +required
	Via AssignedVia `json:"via"`

	// since is when it did.
	// +required
	Since metav1.Time `json:"since"`

	// covers is the responsible person in whose place this one is.
	// +optional
	Covers AgentName `json:"covers,omitempty"`

	// cause is what made somebody else necessary, of the person in covers. A case goes back to them when it has
	// passed, except after a deactivation.
	// +optional
	Cause CoverCause `json:"cause,omitempty"`
}

// CoverCause is why a person cannot take a case.
//
// +kubebuilder:validation:Enum=OnLeave;Deactivated;Pending;NoSeat;NoLicense;Unknown
type CoverCause string

const (
	// CauseOnLeave is a person who is away.
	CauseOnLeave CoverCause = "OnLeave"
	// CauseDeactivated is a person who was put out, whether or not they came back since.
	CauseDeactivated CoverCause = "Deactivated"
	// CausePending is a person whose employment has not begun.
	CausePending CoverCause = "Pending"
	// CauseNoSeat is a person who waits for a seat.
	CauseNoSeat CoverCause = "NoSeat"
	// CauseNoLicense is a person with license None.
	CauseNoLicense CoverCause = "NoLicense"
	// CauseUnknown is a person who does not exist.
	CauseUnknown CoverCause = "Unknown"
)
