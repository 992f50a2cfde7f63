package audit

import "time"

// Seal is the end of the chain as people note it down.
type Seal struct {
	// Sequence is the last checkpoint's number, 0 while nothing is sealed.
	Sequence int64 `json:"sequence"`
	// Hash is the last checkpoint's. Whoever keeps it elsewhere can tell later
	// that nothing up to here was changed.
	Hash     string    `json:"hash,omitempty"`
	SealedAt time.Time `json:"sealed_at,omitzero"`
	// Records is how many were ever sealed.
	Records int64 `json:"records"`
	// Dropped is the last checkpoint whose records were deleted on purpose,
	// because of their age.
	Dropped int64 `json:"dropped,omitempty"`
}

// Seal returns what people note down.
func (h Head) Seal() Seal {
	s := Seal{Sequence: h.Sequence, SealedAt: h.SealedAt, Records: h.Records, Dropped: h.Dropped}
	if h.Sequence > 0 {
		s.Hash = h.Hash.String()
	}
	return s
}

// Verification is what comparing the records with the chain has shown.
type Verification struct {
	// Intact says that nothing is wrong. Warnings do not count.
	Intact bool `json:"intact"`
	Seal   Seal `json:"seal"`
	// Checkpoints is how many there are.
	Checkpoints int64 `json:"checkpoints"`
	// Verified is how many records are as they were sealed, Unsealed how many are
	// too new to be covered yet.
	Verified int64 `json:"verified"`
	Unsealed int64 `json:"unsealed"`
	// Findings are what is wrong, at most 100; Omitted is about how many more
	// there are.
	Findings []Finding `json:"findings"`
	Omitted  int64     `json:"omitted,omitempty"`
}

// FindingKind says what is wrong.
type FindingKind string

// The kinds of findings.
const (
	// Removed: a sealed record, or a checkpoint, is not there any more.
	Removed FindingKind = "removed"
	// Altered: a record is not what was sealed, or was written twice.
	Altered FindingKind = "altered"
	// Added: a record lies where the chain knows of none.
	Added FindingKind = "added"
	// Reordered: a record is what was sealed, and at another place in the order.
	Reordered FindingKind = "reordered"
	// Broken: the chain itself does not hold.
	Broken FindingKind = "broken"
	// Replaced: the checkpoint that was noted down is not the one in the chain.
	Replaced FindingKind = "replaced"
	// Misdated is a warning: a record's own time is well before that of records
	// that were written earlier. A clock was wrong, or somebody wrote it by hand.
	Misdated FindingKind = "misdated"
)

// Finding is one thing that is wrong, and where.
type Finding struct {
	Kind    FindingKind `json:"kind"`
	Warning bool        `json:"warning,omitempty"`
	// Checkpoint is the number of the one concerned; 0 if that cannot be said.
	Checkpoint int64 `json:"checkpoint,omitempty"`
	// Tenant and Record name the record concerned, if it is known; a tenant of
	// "" is then the system. Time is the record's own.
	Tenant string    `json:"tenant,omitempty"`
	Record string    `json:"record,omitempty"`
	Time   time.Time `json:"time,omitzero"`
	// From and Until are the times that the checkpoint's records span.
	From   time.Time `json:"from,omitzero"`
	Until  time.Time `json:"until,omitzero"`
	Detail string    `json:"detail"`
}
