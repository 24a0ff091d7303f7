package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

const (
	// Finalizer holds an object until what Roster wrote for it on the telephone system is gone.
	Finalizer = "staff.roster.dev/roster"

	// AnnotationAbandon set to "true" on an object, or on the ContactCenter for all, lets a deletion pass
	// although the telephone system cannot be reached: rows that Roster wrote stay behind.
	AnnotationAbandon = "staff.roster.dev/abandon"
	// AnnotationReuseName set to "true" on an Agent lets it take a name whose former holder had another
	// e-mail address; the former holder's history stays under that name.
	AnnotationReuseName = "staff.roster.dev/reuse-name"
	// AnnotationSwitchBackend on a ContactCenter lets a centre that has written to one database go on in
	// another. The value is the new database's identity as the Stalled condition prints it.
	AnnotationSwitchBackend = "staff.roster.dev/switch-backend"

	// AnnotationLogoutAt on an Agent is an order to end the registrations of the person's phone once; it may register
	// again. The value of this and of the orders below is an RFC 3339 time, optionally a space and a reason.
	AnnotationLogoutAt = "staff.roster.dev/logout-at"
	// AnnotationPauseAt on an Agent is an order to pause the person in every voice queue once. The pause is theirs
	// from then on.
	AnnotationPauseAt = "staff.roster.dev/pause-at"
	// AnnotationUnpauseAt on an Agent is an order to lift every pause of the person once, whoever set it.
	AnnotationUnpauseAt = "staff.roster.dev/unpause-at"
	// AnnotationReconcileAt on an Agent is an order to look at the person once more.
	AnnotationReconcileAt = "staff.roster.dev/reconcile-at"

	// ContactCenterName is the name of a namespace's one ContactCenter.
	ContactCenterName = "default"
	// LabelAgent on a Secret names the Agent that Roster made it for.
	LabelAgent = "staff.roster.dev/agent"
)

// AgentName is the name of an Agent in the same namespace.
//
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=40
// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",message="write an Agent's name as it is declared: lower-case letters, digits and '-', beginning and ending with a letter or digit"
type AgentName string

// ObjectName is the name of another object in the same namespace.
//
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=63
// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",message="write a name of lower-case letters, digits and '-', beginning and ending with a letter or digit"
type ObjectName string

// Extension is a number that is dialled inside the centre, in quotes: "1001".
//
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=32
// +kubebuilder:validation:XValidation:rule="self.matches('^[0-9]{2,10}$')",message="write 2 to 10 digits, such as \"1001\""
type Extension string

// PhoneNumber is a telephone number as people write it.
//
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=64
// +kubebuilder:validation:XValidation:rule="self.matches('^[+]?[ ()./-]*[0-9][0-9 ()./-]{2,39}$')",message="write a telephone number in digits, best with its country code, such as \"+390612345\""
type PhoneNumber string

// DisplayName is a name as people read it. It may become a caller id, hence no control characters and none of " < > ; ^
//
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=256
// +kubebuilder:validation:XValidation:rule="!self.matches(r'[\\p{Cc}\"<>;^]')",message="displayName may become a caller id: leave out control characters and \" < > ; ^"
type DisplayName string

// Reason says why somebody is away or why a case changed hands.
//
// +kubebuilder:validation:Enum=Vacation;SickLeave;Escalation;Backup;Training;Other
type Reason string

// The reasons.
const (
	ReasonVacation   Reason = "Vacation"
	ReasonSickLeave  Reason = "SickLeave"
	ReasonEscalation Reason = "Escalation"
	ReasonBackup     Reason = "Backup"
	ReasonTraining   Reason = "Training"
	ReasonOther      Reason = "Other"
)

// Channel is a way in which clients reach a queue.
//
// +kubebuilder:validation:Enum=Voice;Chat;Email;SMS;Fax;Voicemail
type Channel string

// The channels. Only Voice is served by Asterisk; the others are kept in status and in the reporting tables.
const (
	ChannelVoice     Channel = "Voice"
	ChannelChat      Channel = "Chat"
	ChannelEmail     Channel = "Email"
	ChannelSMS       Channel = "SMS"
	ChannelFax       Channel = "Fax"
	ChannelVoicemail Channel = "Voicemail"
)

// OnReactivation says what becomes of team memberships and individual queue entries when a person comes back.
//
// +kubebuilder:validation:Enum=Readd;Restore
type OnReactivation string

const (
	// OnReactivationReadd keeps revoked entries without effect until they are reinstated.
	OnReactivationReadd OnReactivation = "Readd"
	// OnReactivationRestore gives back at reactivation what deactivation took.
	OnReactivationRestore OnReactivation = "Restore"
)

// Member names an Agent that belongs to a Team or AgentGroup.
type Member struct {
	// name is the Agent's name.
	// +required
	Name AgentName `json:"name"`
}

// LabelSelector selects Agents by their labels, as Kubernetes label selectors do: all requirements
// must hold, and an empty selector selects every Agent of the namespace.
type LabelSelector struct {
	// matchLabels is a map of labels that an Agent must carry.
	// +optional
	// +kubebuilder:validation:MaxProperties=16
	// +kubebuilder:validation:XValidation:rule="self.size() > 0",message="give matchLabels a label with its value, or write selector: {} to select everybody"
	// +kubebuilder:validation:XValidation:rule="self.all(k, !format.qualifiedName().validate(k).hasValue())",message="write a label's key as Kubernetes has it, such as dept or acme.example/dept"
	MatchLabels map[string]LabelValue `json:"matchLabels,omitempty"`

	// matchExpressions is a list of requirements that an Agent's labels must meet.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=16
	MatchExpressions []LabelRequirement `json:"matchExpressions,omitempty"`
}

// LabelValue is the value of a label.
//
// +kubebuilder:validation:MaxLength=63
// +kubebuilder:validation:XValidation:rule="self.matches('^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$')",message="write a label's value of letters, digits, '-', '_' and '.', beginning and ending with a letter or digit"
type LabelValue string

// LabelRequirement is one requirement of a LabelSelector.
//
// +kubebuilder:validation:XValidation:rule="self.operator in ['In', 'NotIn'] ? has(self.values) && self.values.size() > 0 : !has(self.values) || self.values.size() == 0",message="give operators In and NotIn at least one of values, and Exists and DoesNotExist none"
type LabelRequirement struct {
	// key is the label that the requirement is about.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=317
	// +kubebuilder:validation:XValidation:rule="!format.qualifiedName().validate(self).hasValue()",message="write a label's key as Kubernetes has it, such as dept or acme.example/dept"
	Key string `json:"key"`

	// operator relates the label to the values.
	// +required
	// +kubebuilder:validation:Enum=In;NotIn;Exists;DoesNotExist
	Operator metav1.LabelSelectorOperator `json:"operator"`

	// values are what In and NotIn compare with.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	Values []LabelValue `json:"values,omitempty"`
}

// SecretKeyReference names one key of a Secret in the same namespace.
type SecretKeyReference struct {
	// name is the Secret's name.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="!format.dns1123Subdomain().validate(self).hasValue()",message="write the Secret's name as Kubernetes has it: lower-case letters, digits, '-' and '.', beginning and ending with a letter or digit"
	Name string `json:"name"`

	// key is the key in the Secret's data.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Key string `json:"key"`
}

// HistoryEntry is one change of meaning in an object's life.
type HistoryEntry struct {
	// time is when the change took effect.
	// +required
	Time metav1.Time `json:"time"`

	// type is what changed, such as Phase or Group.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=32
	Type string `json:"type"`

	// from is what it was before, empty at the first.
	// +optional
	// +kubebuilder:validation:MaxLength=256
	From string `json:"from,omitempty"`

	// to is what it has been since, empty where nothing came after.
	// +optional
	// +kubebuilder:validation:MaxLength=256
	To string `json:"to,omitempty"`

	// reason says why, in one word.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	Reason string `json:"reason,omitempty"`
}

// ClaimConflict is an Agent that a group lists but another group holds.
type ClaimConflict struct {
	// name is the Agent's name.
	// +required
	Name AgentName `json:"name"`

	// heldBy is the AgentGroup that holds the Agent.
	// +required
	HeldBy ObjectName `json:"heldBy"`
}

// Condition types. Ready, Reconciling and Stalled follow kstatus; the others are present only while they say something.
const (
	// ConditionReady is True when the effective state is committed to the telephone system's database.
	ConditionReady = "Ready"
	// ConditionReconciling is True while work is pending that needs nobody's help.
	ConditionReconciling = "Reconciling"
	// ConditionStalled is True when a human is needed.
	ConditionStalled = "Stalled"
	// ConditionConflicted is True when something the object claims is held by another object.
	ConditionConflicted = "Conflicted"
	// ConditionRevoked is True while a deactivation's revocations are without effect.
	ConditionRevoked = "Revoked"
	// ConditionReferencesResolved is False while the object names something that does not exist.
	ConditionReferencesResolved = "ReferencesResolved"
	// ConditionPasswordAccepted is False when a password or PIN cannot be used.
	ConditionPasswordAccepted = "PasswordAccepted"
	// ConditionOffline says whether a deactivated person's phone is known to be off.
	ConditionOffline = "Offline"
	// ConditionConnected says whether the ContactCenter's telephone system can be reached.
	ConditionConnected = "Connected"
	// ConditionServersConnected is False while one of the ContactCenter's Asterisk servers cannot be reached.
	ConditionServersConnected = "ServersConnected"
	// ConditionMonitoringComplete is False while a person is in more teams and supervised queues than the labels that say who may listen
	// to whom have room for.
	ConditionMonitoringComplete = "MonitoringComplete"
	// ConditionOrdersValid is False while a one-shot order's annotation cannot be read.
	ConditionOrdersValid = "OrdersValid"
	// ConditionStaffed is False when fewer people than minimumStaff serve a queue.
	ConditionStaffed = "Staffed"
	// ConditionSeated is False while a person waits for a seat.
	ConditionSeated = "Seated"
	// ConditionAssigned is False while nobody holds an open case.
	ConditionAssigned = "Assigned"
	// ConditionAssigneesAble is False while a declared assignee of a case cannot take it.
	ConditionAssigneesAble = "AssigneesAble"
	// ConditionAssigneesSeparate is False while a case declares more than the one assignee that separateOperators allows.
	ConditionAssigneesSeparate = "AssigneesSeparate"
	// ConditionPhonesValid is False while a client's phone cannot be read as a telephone number, and so finds no caller.
	ConditionPhonesValid = "PhonesValid"
)
