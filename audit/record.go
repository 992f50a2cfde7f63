// Package audit defines the record of an act: who did what, where, and how it
// ended. The record of a change commits in the same transaction as the change;
// package center sees to that. Records never hold content or secrets.
package audit

import (
	"time"

	"github.com/setpointhq/setpoint/config"
)

// Outcome says how an act ended.
type Outcome string

// The outcomes.
const (
	Done   Outcome = "done"   // it happened
	Denied Outcome = "denied" // the caller had no right
	Failed Outcome = "failed" // a login that proved nothing
)

// Record is one act.
type Record struct {
	// ID orders the records of a tenant by time and is unique.
	ID     string    `json:"id"`
	Time   time.Time `json:"time"`
	Actor  Actor     `json:"actor"`
	Action string    `json:"action"` // "config.publish", "user.create", "auth.login"
	// Path is what it was done to: a config path, or empty for users and tokens.
	Path    config.Path `json:"path"`
	Subject string      `json:"subject,omitempty"` // the user, token or binding acted on
	Outcome Outcome     `json:"outcome"`
	Comment string      `json:"comment,omitempty"`
	// Items are the releases that a change set made.
	Items []config.ChangeItem `json:"items,omitempty"`
	// Count is how often a denied or failed act was repeated within the second
	// that the record stands for; 0 and 1 mean once.
	Count int64 `json:"count,omitempty"`
	// Detail holds what else matters, "before" and "after" digests among it.
	Detail map[string]string `json:"detail,omitempty"`
	// Revision is where the record, and its change, became visible.
	Revision config.Token `json:"revision,omitempty"`
}

// Actor is who acted, and from where.
type Actor struct {
	Subject   string `json:"subject"`
	Method    string `json:"method,omitempty"`
	TokenID   string `json:"token_id,omitempty"`
	Address   string `json:"address,omitempty"`
	RequestID string `json:"request_id,omitempty"`
}
