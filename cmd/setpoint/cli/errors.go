package cli

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/spf13/cobra"

	"github.com/setpointhq/setpoint/client"
	"github.com/setpointhq/setpoint/config"
)

// The exit codes.
const (
	exitOK          = 0
	exitFailure     = 1 // a difference, or a failure that has no code of its own
	exitUsage       = 2
	exitNotFound    = 3
	exitDenied      = 4
	exitConflict    = 5
	exitInvalid     = 6
	exitUnavailable = 7
	exitInterrupted = 130
)

// usageError is a mistake in how a command was called that cobra cannot see.
type usageError struct{ text string }

func (e usageError) Error() string { return e.text }

func usagef(format string, args ...any) error { return usageError{fmt.Sprintf(format, args...)} }

// exitError ends a command with a code, quietly: everything has been said.
type exitError int

func (e exitError) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

// report prints an error for a person and returns the exit code.
func report(w io.Writer, cmd *cobra.Command, err error) int {
	var quiet exitError
	var ran ranError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &quiet):
		return int(quiet)
	case !errors.As(err, &ran):
		fmt.Fprintf(w, "setpoint: %s\nRun '%s --help' for usage.\n", clean(err.Error()), cmd.CommandPath())
		return exitUsage
	}
	headline, problems := headlineOf(ran)
	fmt.Fprintf(w, "setpoint: %s\n", clean(headline))
	writeProblems(w, problems)
	if hint := hintFor(err); hint != "" {
		fmt.Fprintln(w, hint)
	}
	return exitCode(err)
}

func exitCode(err error) int {
	var refused *client.Refusal
	switch config.KindOf(err) {
	case config.Invalid:
		// The server tells a request that it cannot take from content that it will not.
		if errors.As(err, &refused) && refused.Status == http.StatusUnprocessableEntity {
			return exitInvalid
		}
		return exitUsage
	case config.TooLarge:
		return exitInvalid
	case config.NotFound:
		return exitNotFound
	case config.Unauthenticated, config.Denied:
		return exitDenied
	case config.Conflict, config.Exists:
		return exitConflict
	case config.Unavailable, config.Timeout, config.Throttled:
		return exitUnavailable
	default:
		return exitFailure
	}
}

// hintFor says how to mend an error, where that is not clear from its text.
func hintFor(err error) string {
	var untrusted *client.UntrustedError
	var known hinted
	switch {
	case errors.As(err, &known):
		return known.hint
	case errors.As(err, &untrusted) && untrusted.Pinned:
		return "If the server did get a new certificate, compare its fingerprint and log in again with --fingerprint."
	case errors.As(err, &untrusted):
		return "Compare the fingerprint with what the server printed at its start; then 'setpoint login' asks to trust it, or set SETPOINT_FINGERPRINT or SETPOINT_CA_FILE."
	case config.KindOf(err) == config.Unauthenticated:
		return "Log in with 'setpoint login', or give a token in SETPOINT_TOKEN or with --token-file."
	default:
		return ""
	}
}

// headlineOf returns the first line to print of an error, and the problems to
// print below it. What those will say it does not say as well.
func headlineOf(err error) (string, []config.Problem) {
	var e *config.Error
	if !errors.As(err, &e) {
		return err.Error(), nil
	}
	problems := placed(e.Problems)
	if len(problems) == 0 {
		return err.Error(), nil
	}
	short := *e
	short.Err = errors.New(count(len(problems), "problem"))
	return short.Error(), problems
}

// placed drops a lone problem without a place: the error's text says it all.
func placed(problems []config.Problem) []config.Problem {
	if len(problems) == 1 && problems[0].Line == 0 {
		return nil
	}
	return problems
}

// writeProblems prints findings with the lines that they are about.
func writeProblems(w io.Writer, problems []config.Problem) {
	for _, p := range problems {
		fmt.Fprintf(w, "%s: %s\n", p.Severity, clean(p.String()))
		if p.Excerpt != "" {
			fmt.Fprintln(w, indent(clean(p.Excerpt)))
		}
		if p.Hint != "" {
			fmt.Fprintf(w, "  hint: %s\n", clean(p.Hint))
		}
	}
}

func hasErrors(problems []config.Problem) bool {
	for _, p := range problems {
		if p.Severity == config.SeverityError {
			return true
		}
	}
	return false
}

func indent(text string) string {
	return "  " + strings.ReplaceAll(strings.TrimRight(text, "\n"), "\n", "\n  ")
}

// clean takes out what could drive a terminal: others wrote most of the texts.
func clean(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return r
		case r < ' ', r >= 0x7f && r < 0xa0, r == '\u2028', r == '\u2029', r >= '\u202a' && r <= '\u202e', r >= '\u2066' && r <= '\u2069':
			return '\uFFFD'
		default:
			return r
		}
	}, text)
}
