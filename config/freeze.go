package config

import "time"

// MaxFreezes bounds the freezes of an env.
const MaxFreezes = 32

// Freeze is a time in which nothing is released in an env, be it once, From one
// moment To another, or every week. What takes a release back is always allowed.
type Freeze struct {
	// Name tells the freezes of an env apart.
	Name   string    `json:"name"`
	Reason string    `json:"reason,omitempty"`
	From   time.Time `json:"from,omitzero"`
	To     time.Time `json:"to,omitzero"`
	Weekly *Weekly   `json:"weekly,omitempty"`
}

// Weekly is a stretch of every week: from "fri 17:00" to "mon 08:00" as clocks
// in Zone show it, an IANA name such as "Asia/Shanghai"; empty means UTC.
type Weekly struct {
	From string `json:"from"`
	To   string `json:"to"`
	Zone string `json:"zone,omitempty"`
}
