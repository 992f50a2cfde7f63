package rest

import (
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
)

func backupRoutes() []Route {
	return []Route{
		direct(Route{Method: "GET", Pattern: "/v1/backup", Op: "backup.create", ID: "create-backup", tag: tagCluster,
			summary: "Back up the installation",
			description: "Everything that the installation holds, as of one revision, as one file that 'setpoint restore' takes. " +
				"It ends with the SHA-256 of all that comes before: an answer that does not is no backup. It holds password hashes: keep it safe.",
			errors: []int{http.StatusTooManyRequests, http.StatusNotImplemented}}, (*api).backup, describeBackup),
	}
}

func (a *api) backup(w http.ResponseWriter, r *http.Request) error {
	if _, err := query(r); err != nil {
		return err
	}
	if r.Method == http.MethodHead { // a whole backup would be made to be thrown away
		return &statusError{err: errMethod(r.Method, http.MethodGet), status: http.StatusMethodNotAllowed, allow: http.MethodGet}
	}
	control := http.NewResponseController(w)
	out := &lateWriter{w: &steady{w: w, control: control, patience: a.settings.StreamWriteTimeout}, start: func() {
		h := w.Header()
		h.Set("Content-Type", "application/octet-stream")
		h.Set("Content-Disposition", `attachment; filename="`+a.center.BackupName()+`"`)
	}}
	_, err := a.center.Backup(r.Context(), out)
	_ = control.SetWriteDeadline(time.Time{}) // not every connection has deadlines
	if err != nil && out.started {
		a.log.WarnContext(r.Context(), "a backup was cut short", "error", err)
		panic(http.ErrAbortHandler) // part of a backup must not look like all of it
	}
	return err
}

// steady sends what it is given at once, and gives up a client that takes in
// nothing for long: the engine keeps what a backup may still need.
type steady struct {
	w        http.ResponseWriter
	control  *http.ResponseController
	patience time.Duration
}

// Write implements io.Writer.
func (s *steady) Write(b []byte) (int, error) {
	_ = s.control.SetWriteDeadline(time.Now().Add(s.patience)) // not every connection has deadlines
	n, err := s.w.Write(b)
	if err == nil {
		err = s.control.Flush()
	}
	return n, err
}

func describeBackup(_ huma.Registry, op *huma.Operation) {
	op.Responses["200"] = &huma.Response{
		Description: "The backup.",
		Headers:     headers("Content-Disposition", "a name for the file, that tells installation and time"),
		Content:     map[string]*huma.MediaType{"application/octet-stream": {Schema: &huma.Schema{Type: huma.TypeString, Format: "binary"}}},
	}
}
