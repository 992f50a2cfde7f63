//go:build !no_toml

package standard

import (
	"github.com/setpointhq/setpoint/format"
	"github.com/setpointhq/setpoint/format/toml"
	"github.com/setpointhq/setpoint/server"
)

func addTOML(d *server.Drivers) {
	d.Formats.Add("toml", func() format.Format { return toml.New() })
}
