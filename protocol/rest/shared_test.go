package rest

import (
	"net/http"

	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/protocol/internal/caller"
	"github.com/setpointhq/setpoint/protocol/internal/problem"
	"github.com/setpointhq/setpoint/protocol/internal/strictjson"
)

// What the tests here call by the names that REST has for what the protocols share.
const (
	problemType    = problem.TypePrefix
	contentProblem = problem.ContentType
	statusCanceled = problem.StatusCanceled
	maxLabels      = caller.MaxLabels
	maxLabel       = caller.MaxLabel
)

func clip(s string) string                            { return problem.Clip(s) }
func encodeJSON(v any) []byte                         { return strictjson.Encode(v) }
func checkText(data []byte) error                     { return strictjson.CheckText(data) }
func hasLoneSurrogate(data []byte) bool               { return strictjson.HasLoneSurrogate(data) }
func parseLabels(s string) (map[string]string, error) { return caller.ParseLabels(s) }
func printable(s string) bool                         { return caller.Printable(s) }

func checkKeys(data []byte, known *strictjson.Names) error {
	return strictjson.CheckKeys("body", data, known)
}

func decodeText(where string, data []byte, known *strictjson.Names, into any) error {
	return strictjson.Decode(where, data, known, into)
}

type rendering struct {
	status int
	title  string
}

// kindStatuses is how each kind of error looks in an answer.
var kindStatuses = func() map[config.ErrorKind]rendering {
	all := map[config.ErrorKind]rendering{}
	for _, kind := range config.ErrorKinds() {
		p := newProblem(&http.Request{}, &config.Error{Kind: kind})
		all[kind] = rendering{p.Status, p.Title}
	}
	return all
}()
