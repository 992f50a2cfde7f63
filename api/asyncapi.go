// Package api holds the descriptions of what Setpoint speaks to clients. It knows
// nothing of what does the work.
package api

import _ "embed"

// AsyncAPI is the description of the WebSocket interface, as YAML. It must not be
// modified.
//
//go:embed asyncapi.yaml
var AsyncAPI []byte
