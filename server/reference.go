package server

import (
	"io"

	"github.com/setpointhq/setpoint/server/internal/settings"
)

const howToWrite = `
Durations are written with a unit: ` + "`500ms`, `30s`, `5m`, `12h`" + `. Sizes are ` + "`512`, `64KiB`, `1.5GiB`, `10MB`" + `.
In a variable, a list is written with commas and a map as ` + "`key=value,key=value`" + `; an empty variable counts
as not set. A variable that begins with ` + "`SETPOINT_`" + ` and belongs to nothing is an error; those of the client,
and those that Kubernetes makes for a service named setpoint, are left alone.
`

// Reference writes what can be set as Markdown, without a title.
func Reference(w io.Writer, drivers *Drivers) error {
	if _, err := io.WriteString(w, howToWrite); err != nil {
		return err
	}
	return settings.Reference(w, &Settings{drivers: drivers})
}
